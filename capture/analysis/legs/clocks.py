"""Times of the same packets by two clocks, in both directions -> the offset of the clocks at any time, within bounds.

The problem. Times of two nodes can be compared only as exactly as the offset of their clocks is known, and clocks
drift. NTP asks the other node; a file has only packets.

A packet from A to B does not arrive before it left: B's clock minus A's is at most B's time of the packet minus A's.
A packet from B to A gives the other bound. Within WINDOW_NS a clock gains or loses evenly, so the truth is a line
(offset, rate) that lies below all bounds from one direction and above all from the other: a point in the intersection
of half-planes, and in the box of rates that Linux allows. Each of these lines is possible and no other is, so the
least and the greatest of their values at a time are sharp bounds. (The linear program of Moon, Skelly and Towsley,
"Estimation and removal of clock skew from network delay measurements", INFOCOM 1999, here from both sides.) The
offset is the middle of these bounds, and the uncertainty half of their distance (as in NTP: RFC 5905, section 8).

The invariant: an offset is never given more exactly than packets prove. In a window without packets in both
directions the uncertainty is -1, for unknown. If no line is possible, a clock was set, and the window counts as
empty.

The cost: each cell of 0.1 s keeps only its tightest bound, so there are at most 100 per direction and window, and the
polygon of possible lines is cut only by the few bounds that exclude anything (`polygon`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.legs.polygon import inside
from capture.arrays.aliases import Table

WINDOW_NS = 10 * 10**9
"""Time in which the rate of a clock counts as constant, ns: temperature and NTP change it more slowly."""
MAX_RATE = 500e-6
"""Largest difference of two clocks' rates: what Linux allows as a correction (adjtimex(2)); crystals need a tenth."""
_CELL_NS = 10**8
"""Length of a cell, ns; only its tightest bound is kept."""
_ROUNDING_NS = 1
"""Upper bound of the rounding error of the difference of two times, which are whole nanoseconds, ns."""
_PRECISION_NS = 1e-3
"""Error of the corners of a polygon at most, ns."""
_BOUND = np.dtype([("time_ns", "i8"), ("most_ns", "i8")])


@dataclass(frozen=True, slots=True)
class Offset:
    """One clock minus another: at first `offset_ns`, plus or minus `uncertainty_ns`; then it grows by `drift_ppm`."""

    offset_ns: int
    uncertainty_ns: int
    drift_ppm: float


class Bounds:
    """Bounds of one clock minus another. Add those that packets prove, then call `of` or `overall`."""

    def __init__(self) -> None:
        self._above, self._below = _Tightest(), _Tightest()
        self._windows: dict[int, _Window] | None = None

    def add(self, times_ns: npt.NDArray[np.int64], at_most: npt.NDArray[np.int64], sign: int) -> None:
        """Add bounds at times of the other clock. `sign` 1: this clock is at most so far ahead, ns; -1: behind."""
        (self._above if sign > 0 else self._below).add(times_ns, at_most)
        self._windows = None

    def of(self, times_ns: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        """Return (offsets, uncertainties) at these times, ns; where unknown, the nearest window's offset and -1."""
        offsets, uncertain = np.zeros(len(times_ns), np.int64), np.full(len(times_ns), -1, np.int64)
        windows = self._fitted()
        known, window_of = np.array(list(windows)), times_ns // WINDOW_NS
        order = np.argsort(window_of, kind="stable")
        wanted, begins = np.unique(window_of[order], return_index=True)
        for window, mine in zip(wanted.tolist(), np.split(order, begins[1:]), strict=False) if windows else ():
            nearest = int(known[np.abs(known - window).argmin()])
            within = np.clip(times_ns[mine], nearest * WINDOW_NS, (nearest + 1) * WINDOW_NS)
            low, high = windows[nearest].between(within)
            offsets[mine] = (low + high) // 2
            if nearest == window:
                uncertain[mine] = (high - low + 1) // 2
        return offsets, uncertain

    def overall(self, sign: int, uncertainty_ns: int) -> Offset | None:
        """Return the most certain offset of the first window, and the drift until the last; None without bounds.

        The uncertainty is at least `uncertainty_ns`. The drift is 0 if it is smaller than its uncertainty. With
        `sign` -1 the result is the other clock minus this one.
        """
        windows = list(self._fitted().values())
        if not windows:
            return None
        (first_ns, first, first_uncertain), (last_ns, last, last_uncertain) = (
            self._best(windows[at].times_ns) for at in (0, -1)
        )
        change = sign * (last - first)
        certain = abs(change) > first_uncertain + last_uncertain
        drift_ppm = 1e6 * change / (last_ns - first_ns) if certain else 0.0
        return Offset(sign * first, max(first_uncertain, uncertainty_ns), drift_ppm)

    def _best(self, times_ns: npt.NDArray[np.int64]) -> tuple[int, int, int]:
        """Return (time, offset, uncertainty) where the uncertainty is least, ns."""
        offsets, uncertain = self.of(times_ns)
        best = uncertain.argmin()
        return int(times_ns[best]), int(offsets[best]), int(uncertain[best])

    def _fitted(self) -> "dict[int, _Window]":
        if self._windows is None:
            above, below = self._above.bounds(), self._below.bounds()
            bounded = np.intersect1d(above["time_ns"] // WINDOW_NS, below["time_ns"] // WINDOW_NS)
            fitted = {window: _Window(window * WINDOW_NS, above, below) for window in bounded.tolist()}
            # No line fits a window in which a clock was set.
            self._windows = {window: lines for window, lines in fitted.items() if lines.possible}
        return self._windows


class _Tightest:
    """Bounds from one side -> the tightest bound of each cell."""

    def __init__(self) -> None:
        self._kept = np.empty(0, _BOUND)
        self._new: list[Table] = []
        self._waiting = 0

    def add(self, times_ns: npt.NDArray[np.int64], most_ns: npt.NDArray[np.int64]) -> None:
        rows = np.empty(len(times_ns), _BOUND)
        rows["time_ns"], rows["most_ns"] = times_ns, most_ns
        self._new.append(rows)
        self._waiting += len(rows)
        if self._waiting > max(len(self._kept), 1 << 16):
            self.bounds()

    def bounds(self) -> Table:
        """Return the tightest bounds, in order of time."""
        rows = np.concatenate([self._kept, *self._new])
        order = np.lexsort((rows["most_ns"], rows["time_ns"] // _CELL_NS))
        _, first = np.unique(rows["time_ns"][order] // _CELL_NS, return_index=True)
        self._kept, self._new, self._waiting = rows[order][first], [], 0
        return self._kept


class _Window:
    """Bounds from above and below in the window that begins at `begin_ns` -> the lines between them.

    A line is a point (offset in the middle of the window, rate), and a bound is a half-plane of such points. The
    bounds cut a polygon out of a rectangle, and its corners are the extreme lines.
    """

    def __init__(self, begin_ns: int, above: Table, below: Table) -> None:
        self._middle_ns = begin_ns + WINDOW_NS // 2
        window = (begin_ns, begin_ns + WINDOW_NS)
        sides = [side[slice(*np.searchsorted(side["time_ns"], window))] for side in (above, below)]
        self.times_ns = np.concatenate([side["time_ns"] for side in sides])
        # Clocks may be years apart: relative to this base, a float is exact to nanoseconds.
        self._base_ns = int(sides[0]["most_ns"].min())
        normals, limits = [], []
        for sign, side in zip((1, -1), sides, strict=True):
            times = (side["time_ns"] - self._middle_ns).astype(float)
            normals.append(np.column_stack([np.full(len(side), sign), sign * times]))
            limits.append((side["most_ns"] - sign * self._base_ns + _ROUNDING_NS).astype(float))
        away = MAX_RATE * WINDOW_NS
        low, high = -limits[1].min() - away, limits[0].min() + away
        box = np.array([(low, -MAX_RATE), (high, -MAX_RATE), (high, MAX_RATE), (low, MAX_RATE)])
        self._lines = inside(box, np.concatenate(normals), np.concatenate(limits), _PRECISION_NS)

    @property
    def possible(self) -> bool:
        return len(self._lines) > 0

    def between(self, times_ns: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        """Return the least and the greatest offset of all possible lines at each time, ns."""
        values = self._lines[:, :1] + self._lines[:, 1:] * (times_ns - self._middle_ns)
        least, most = np.floor(values.min(axis=0)), np.ceil(values.max(axis=0))
        return self._base_ns + least.astype(np.int64), self._base_ns + most.astype(np.int64)
