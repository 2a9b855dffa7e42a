"""Packets that one end of a leg saw and the other did not; which of them were only cut up or put together anew."""

import numpy as np
import numpy.typing as npt

from capture.arrays.aliases import Table
from capture.wire.protocols import TCP

SEEN_ONCE = np.dtype(
    [
        ("time_ns", "i8"),
        ("number", "i8"),
        ("stream", "i8"),  # conversation and side
        ("sequence", "i8"),
        ("payload", "i8"),
        ("protocol", "u1"),
    ]
)
"""A packet that one end of a leg saw, and the other did not."""


def seen_once(rows: Table, streams: npt.NDArray[np.int64], point: int) -> Table:
    found = np.zeros(len(rows), SEEN_ONCE)
    found["time_ns"], found["number"] = rows["times_ns"][:, point], rows["numbers"][:, point]
    found["stream"] = streams
    for name in ("sequence", "payload", "protocol"):
        found[name] = rows[name]
    return found


def overlaps(rows: Table, others: Table) -> npt.NDArray[np.bool_]:
    """Which TCP segments share bytes with one of the others, of the same stream."""
    others = others[(others["protocol"] == TCP) & (others["payload"] > 0)]
    mine = (rows["protocol"] == TCP) & (rows["payload"] > 0)
    if not len(others) or not mine.any():
        return np.zeros(len(rows), bool)
    # Streams one after the other on one line of numbers.
    starts = (others["stream"] << 33) + others["sequence"]
    order = np.argsort(starts, kind="stable")
    # The furthest end so far: a long segment may reach beyond shorter ones behind it.
    ends = np.maximum.accumulate((starts + others["payload"])[order])
    at = (rows["stream"] << 33) + rows["sequence"]
    before = np.searchsorted(starts[order], at + rows["payload"], side="left")
    shared: npt.NDArray[np.bool_] = mine & (before > 0) & (ends[np.maximum(before - 1, 0)] > at)
    return shared
