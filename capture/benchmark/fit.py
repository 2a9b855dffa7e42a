"""Observed costs and what they are of -> coefficients that are not negative, with their standard errors.

Least squares of relative residuals: a coefficient that matters where little is paid counts as much as one that
matters where much is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """One value and error per column; `off` is the standard deviation of the relative residuals."""

    values: Floats
    errors: Floats
    off: float


def fitted(rows: Sequence[Sequence[float]], observed: Sequence[float]) -> Fit:
    """The coefficients of `rows` [observations, columns] that explain `observed` best, none below 0.

    Of all choices of columns whose best coefficients are not negative, the one that leaves least: that is the exact
    answer, and few columns have few choices. The errors are those of all columns together, so that a coefficient of
    0 also says how far from it the truth may be.
    """
    wanted = np.asarray(observed, float)
    scaled = np.asarray(rows, float) / wanted[:, None]
    sizes = np.linalg.norm(scaled, axis=0)
    scaled = scaled / sizes  # columns differ by many powers of ten
    width = scaled.shape[1]
    best, least = np.zeros(width), np.ones(len(wanted))
    for used in (list(some) for count in range(1, width + 1) for some in combinations(range(width), count)):
        found, *_ = np.linalg.lstsq(scaled[:, used], np.ones(len(wanted)), rcond=None)
        left = scaled[:, used] @ found - 1
        if found.min() >= 0 and left @ left < least @ least:
            best, least = np.zeros(width), left
            best[used] = found
    freedom = max(len(wanted) - width, 1)
    covariance = np.linalg.pinv(scaled.T @ scaled) * (least @ least) / freedom
    return Fit(best / sizes, np.sqrt(np.diag(covariance)) / sizes, float(np.sqrt(least @ least / freedom)))
