"""Half-planes -> the polygon of their common points."""

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""[n, 2] float64: points; a polygon is its corners in order, and has none if it is empty."""


def inside(corners: Points, normals: Points, limits: npt.NDArray[np.float64], precision: float) -> Points:
    """Return the part of a convex polygon where all `normals[i] @ point <= limits[i]`, to a precision.

    Few of many half-planes cut anything off, so the one that is exceeded most is applied until none is exceeded.
    """
    for _ in limits:
        excess = corners @ normals.T - limits
        worst = int(excess.max(axis=0).argmax())
        if excess[:, worst].max() <= precision:
            break
        corners = _cut(corners, excess[:, worst])
        if not len(corners):
            break
    return corners


def _cut(corners: Points, outside: npt.NDArray[np.float64]) -> Points:
    """Return the polygon cut by a line. `outside`: distance of corners beyond it (Sutherland and Hodgman, 1974)."""
    kept = []
    for at in range(len(corners)):
        here, before = outside[at], outside[at - 1]
        if here * before < 0:
            kept.append(corners[at - 1] + (corners[at] - corners[at - 1]) * before / (before - here))
        if here <= 0:
            kept.append(corners[at])
    return np.array(kept).reshape(-1, 2)
