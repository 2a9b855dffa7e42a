"""Half-planes -> the polygon of the points that are in all of them."""

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""[n, 2]; of a polygon its corners, in their order; of an empty one none."""


def inside(corners: Points, normals: Points, limits: npt.NDArray[np.float64], precision: float) -> Points:
    """The part of a convex polygon where every `normals[i] @ point <= limits[i]`, to a precision.

    Few of many half-planes cut off anything: always the one that is exceeded most is taken, till none is.
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
    """Without what is on the far side of a line; how far outside each corner is (Sutherland and Hodgman, 1974)."""
    kept = []
    for at in range(len(corners)):
        here, before = outside[at], outside[at - 1]
        if here * before < 0:
            kept.append(corners[at - 1] + (corners[at] - corners[at - 1]) * before / (before - here))
        if here <= 0:
            kept.append(corners[at])
    return np.array(kept).reshape(-1, 2)
