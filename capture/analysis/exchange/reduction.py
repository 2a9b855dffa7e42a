"""Points of a plot -> those that a plot of some pixels shows: of each pixel column the first, last, least and most.

So a line through the points that are left has the same pixels as one through all, and no extreme is lost.
"""

import numpy as np

from capture.arrays.aliases import Longs, Numbers

ALL = 20_000
"""Points up to which nothing is left out."""


def kept(times: Longs, lowest: Numbers, highest: Numbers, first_ns: int, last_ns: int, pixels: int) -> Longs:
    """Return the sorted indices of the points to draw; times are sorted."""
    count = len(times)
    if count <= ALL:
        return np.arange(count, dtype=np.int64)
    span = max(last_ns - first_ns, 1)
    column = np.clip((times - first_ns) * pixels // span, -1, pixels)
    starts = np.r_[0, np.flatnonzero(np.diff(column)) + 1]
    ends = np.r_[starts[1:] - 1, count - 1]
    most, least = np.maximum.reduceat(highest, starts), np.minimum.reduceat(lowest, starts)
    which = np.repeat(np.arange(len(starts)), ends - starts + 1)
    tops = np.flatnonzero(highest == most[which])
    bottoms = np.flatnonzero(lowest == least[which])
    first_top = tops[np.unique(which[tops], return_index=True)[1]]
    first_bottom = bottoms[np.unique(which[bottoms], return_index=True)[1]]
    return np.unique(np.concatenate([starts, ends, first_top, first_bottom])).astype(np.int64)
