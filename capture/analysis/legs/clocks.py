"""How two clocks differ on the same packets, both ways -> how far they are apart at any time, within bounds.

The problem. Times of two nodes can be compared only as well as the distance of their clocks is known, and the
clocks drift. NTP would ask; in a file there are only packets.

A packet that goes from A to B takes at least no time: B's clock minus A's is at most what their times differ by.
One that goes from B to A gives the other bound. Within WINDOW_NS a clock gains or loses evenly, so the truth is a
line (offset, rate) that lies below all bounds from one direction and above all from the other: a point in the
intersection of half-planes, and in the box of rates that Linux allows. What any of these lines says of a time is
possible, nothing else is: so the least and the most that they say are sharp bounds. (The linear program of Moon,
Skelly and Towsley, "Estimation and removal of clock skew from network delay measurements", INFOCOM 1999, here from
both sides.) The middle is taken as the offset, and half of the range is the uncertainty (as in NTP: RFC 5905,
section 8).

The invariant: an offset is never said more exactly than some packets prove. In a window without packets both ways
the uncertainty is -1, for unknown. Where no line is possible a clock was set, and the window counts as empty.

The cost: of each cell of 0.1 s only the tightest bound is kept, so at most 100 a direction and window, and the
polygon of possible lines is cut by the few of them that exclude anything (`polygon`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.legs.polygon import inside
from capture.arrays.aliases import Table

WINDOW_NS = 10 * 10**9
"""How long a clock is taken to gain or lose evenly: its rate follows the temperature and NTP, which are slower."""
MAX_RATE = 500e-6
"""What Linux lets a clock be corrected by (adjtimex(2)); crystals are within a tenth of it."""
_CELL_NS = 10**8
"""Of the bounds of a cell only the tightest is kept."""
_ROUNDING_NS = 1
"""Times are whole nanoseconds: what two of them differ by is off by less than this."""
_PRECISION_NS = 1e-3
_BOUND = np.dtype([("time_ns", "i8"), ("most_ns", "i8")])


@dataclass(frozen=True, slots=True)
class Offset:
    """One clock minus another: at first between `offset_ns` - and + `uncertainty_ns`; it grows by `drift_ppm`."""

    offset_ns: int
    uncertainty_ns: int
    drift_ppm: float


class Bounds:
    """Bounds of one clock against another: add what packets prove, then ask."""

    def __init__(self) -> None:
        self._above, self._below = _Tightest(), _Tightest()
        self._windows: dict[int, _Window] | None = None

    def add(self, times_ns: npt.NDArray[np.int64], at_most: npt.NDArray[np.int64], sign: int) -> None:
        """`sign` 1: the clock is ahead by at most this, at these times of the other; -1: behind by at most this."""
        (self._above if sign > 0 else self._below).add(times_ns, at_most)
        self._windows = None

    def of(self, times_ns: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        """Return (offsets, uncertainties) at these times; where nothing is known, of the nearest time, and -1."""
        offsets, uncertain = np.zeros(len(times_ns), np.int64), np.full(len(times_ns), -1, np.int64)
        windows = self._fitted()
        known, of_time = np.array(list(windows)), times_ns // WINDOW_NS
        order = np.argsort(of_time, kind="stable")
        asked, begins = np.unique(of_time[order], return_index=True)
        for window, mine in zip(asked.tolist(), np.split(order, begins[1:]), strict=False) if windows else ():
            nearest = int(known[np.abs(known - window).argmin()])
            within = np.clip(times_ns[mine], nearest * WINDOW_NS, (nearest + 1) * WINDOW_NS)
            low, high = windows[nearest].between(within)
            offsets[mine] = (low + high) // 2
            if nearest == window:
                uncertain[mine] = (high - low + 1) // 2
        return offsets, uncertain

    def overall(self, sign: int, uncertainty_ns: int) -> Offset | None:
        """Return the most certain offset of the first window, and the drift up to the last; None without bounds.

        The uncertainty is at least `uncertainty_ns`, the drift 0 if it is less than is certain. With `sign` -1 it is
        the other clock against this one.
        """
        windows = list(self._fitted().values())
        if not windows:
            return None
        (begun, first, uncertain), (ended, last, also) = (self._best(windows[at].times_ns) for at in (0, -1))
        change = sign * (last - first)
        drift_ppm = 1e6 * change / (ended - begun) if abs(change) > uncertain + also else 0.0
        return Offset(sign * first, max(uncertain, uncertainty_ns), drift_ppm)

    def _best(self, times_ns: npt.NDArray[np.int64]) -> tuple[int, int, int]:
        """(time, offset, uncertainty)."""
        offsets, uncertain = self.of(times_ns)
        best = uncertain.argmin()
        return int(times_ns[best]), int(offsets[best]), int(uncertain[best])

    def _fitted(self) -> "dict[int, _Window]":
        if self._windows is None:
            above, below = self._above.bounds(), self._below.bounds()
            both = np.intersect1d(above["time_ns"] // WINDOW_NS, below["time_ns"] // WINDOW_NS)
            fitted = {window: _Window(window * WINDOW_NS, above, below) for window in both.tolist()}
            # A clock that was set in between contradicts itself.
            self._windows = {window: lines for window, lines in fitted.items() if lines.possible}
        return self._windows


class _Tightest:
    """Bounds from one side -> the tightest of each cell."""

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

    A line is a point (offset in the middle, rate), and a bound a half-plane of such points; what is left of a
    rectangle after all bounds has the extreme lines for its corners.
    """

    def __init__(self, begin_ns: int, above: Table, below: Table) -> None:
        self._middle_ns = begin_ns + WINDOW_NS // 2
        window = (begin_ns, begin_ns + WINDOW_NS)
        sides = [side[slice(*np.searchsorted(side["time_ns"], window))] for side in (above, below)]
        self.times_ns = np.concatenate([side["time_ns"] for side in sides])
        # Clocks may be years apart: a float has nanoseconds of what is left beside this.
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
        """Return the least and the greatest offset that a possible line has at each time."""
        values = self._lines[:, :1] + self._lines[:, 1:] * (times_ns - self._middle_ns)
        least, most = np.floor(values.min(axis=0)), np.ceil(values.max(axis=0))
        return self._base_ns + least.astype(np.int64), self._base_ns + most.astype(np.int64)
