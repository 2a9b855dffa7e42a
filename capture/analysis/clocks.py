"""How two clocks differ on the same packets, both ways -> how far they are apart, within bounds.

A packet that goes from A to B takes at least no time: B's clock minus A's is at most the smallest difference that is
seen. One that goes from B to A gives the other bound. Between the two lies the truth, whatever the delays are; half
of what is between is the uncertainty (as in NTP: RFC 5905, section 8). Clocks drift, so it is done every WINDOW_NS.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

WINDOW_NS = 10 * 10**9
_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Offset:
    """One clock minus another, in nanoseconds: between `offset_ns` - and + `uncertainty_ns`."""

    offset_ns: int
    uncertainty_ns: int


class Bounds:
    """Of one clock against another. Add differences; ask for what is known of a time."""

    def __init__(self) -> None:
        self._windows: dict[int, list[int]] = {}
        """By window: the largest lower bound and the smallest upper bound."""

    def add(self, times_ns: npt.NDArray[np.int64], at_most: npt.NDArray[np.int64], sign: int) -> None:
        """`sign` 1: the clock is ahead by at most this, at these times of the other; -1: behind by at most this."""
        windows, which = np.unique(times_ns // WINDOW_NS, return_inverse=True)
        least = np.full(len(windows), _NONE)
        np.minimum.at(least, which, at_most)
        for window, bound in zip(windows.tolist(), least.tolist(), strict=True):
            low, high = self._windows.setdefault(window, [-_NONE, _NONE])
            self._windows[window] = [low, min(high, bound)] if sign > 0 else [max(low, -bound), high]

    def of(self, times_ns: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        """(offsets, uncertainties) at these times; an uncertainty of -1 where nothing is known."""
        windows, which = np.unique(times_ns // WINDOW_NS, return_inverse=True)
        found = [self._offset(window) for window in windows.tolist()]
        offsets = np.array([one.offset_ns if one else 0 for one in found], np.int64)
        uncertain = np.array([one.uncertainty_ns if one else -1 for one in found], np.int64)
        return offsets[which], uncertain[which]

    def _offset(self, window: int) -> Offset | None:
        low, high = self._windows.get(window, [-_NONE, _NONE])
        # A clock that was set in between contradicts itself.
        if low == -_NONE or high == _NONE or low > high:
            return None
        return Offset((low + high) // 2, (high - low + 1) // 2)

    @property
    def overall(self) -> Offset | None:
        """The offset of the window where it is known best, with the largest uncertainty of all."""
        known = [offset for window in self._windows if (offset := self._offset(window)) is not None]
        if not known:
            return None
        best = min(known, key=lambda one: one.uncertainty_ns)
        return Offset(best.offset_ns, max(one.uncertainty_ns for one in known))
