"""Durations -> a histogram of fixed size, and its quantiles.

It has 128 buckets for each power of two, so quantiles of any durations are exact to 0.4 %.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_STEPS_BITS = 7
_STEPS = 1 << _STEPS_BITS
_BUCKETS = _STEPS * (64 - _STEPS_BITS)


def bucket(durations_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the bucket of each duration of 0 and more."""
    # Only the exponent comes from the float: rounding to 53 bits can carry a large number to the next power of two.
    exponent = np.maximum(np.frexp(durations_ns.astype(np.float64))[1] - 1, _STEPS_BITS)
    shift = exponent - _STEPS_BITS
    steps: npt.NDArray[np.int64] = np.minimum(shift * _STEPS + (durations_ns >> shift), _BUCKETS - 1)
    return steps


def middle(step: int) -> float:
    """Return the duration in the middle of a bucket, ns."""
    if step < 2 * _STEPS:
        return float(step)
    shift = step // _STEPS - 1
    return (step - shift * _STEPS + 0.5) * float(1 << shift)


@dataclass(slots=True)
class Histogram:
    """Counts of durations by bucket, and the exact least and most of them, ns."""

    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BUCKETS, np.int64))
    least: int = np.iinfo(np.int64).max
    most: int = 0

    def add(self, durations_ns: npt.NDArray[np.int64]) -> None:
        self.counts += np.bincount(bucket(durations_ns), minlength=_BUCKETS)
        self.least = min(self.least, int(durations_ns.min()))
        self.most = max(self.most, int(durations_ns.max()))

    def quantile(self, share: float) -> float:
        """Return the smallest duration, ns, that a share (0 to 1) of all durations does not exceed."""
        passed = np.cumsum(self.counts)
        step = int(np.searchsorted(passed, np.ceil(share * passed[-1])))
        return min(max(middle(step), float(self.least)), float(self.most))
