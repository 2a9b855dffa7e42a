"""Observed costs and what they are of -> coefficients that are not negative, with their standard errors.

Least squares of relative residuals: a coefficient that matters where little is paid counts as much as one that
matters where much is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """One value and error per column; `off` is the root mean square of the relative residuals."""

    values: Floats
    errors: Floats
    off: float


def fitted(rows: Sequence[Sequence[float]], observed: Sequence[float]) -> Fit:
    """The coefficients of `rows` [observations, columns] that explain `observed` best, none below 0.

    A column whose best coefficient is negative gets 0, and the others are fitted without it, the most negative first.
    """
    wanted = np.asarray(observed, float)
    scaled = np.asarray(rows, float) / wanted[:, None]
    sizes = np.linalg.norm(scaled, axis=0)
    scaled = scaled / sizes  # columns differ by many powers of ten
    columns = list(range(scaled.shape[1]))
    while True:
        used = scaled[:, columns]
        found, *_ = np.linalg.lstsq(used, np.ones(len(wanted)), rcond=None)
        if found.min() >= 0:
            break
        del columns[int(found.argmin())]
    residuals = used @ found - 1
    freedom = max(len(wanted) - len(columns), 1)
    covariance = np.linalg.pinv(used.T @ used) * (residuals @ residuals) / freedom
    values, errors = np.zeros(scaled.shape[1]), np.zeros(scaled.shape[1])
    values[columns], errors[columns] = found, np.sqrt(np.diag(covariance))
    return Fit(values / sizes, errors / sizes, float(np.sqrt(np.mean(residuals**2))))
