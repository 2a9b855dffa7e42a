"""Packets that only one end of a leg saw -> a mask of those that were only split or merged (GSO, GRO)."""

import numpy as np
import numpy.typing as npt

from capture.arrays.aliases import Table
from capture.wire.protocols import TCP

SEEN_ONCE = np.dtype(
    [
        ("time_ns", "i8"),
        ("number", "i8"),
        ("stream", "i8"),  # 2 * conversation + side
        ("sequence", "i8"),
        ("payload", "i8"),
        ("protocol", "u1"),
    ]
)
"""A packet that one end of a leg saw, and the other did not."""


def seen_once(rows: Table, streams: npt.NDArray[np.int64], point: int) -> Table:
    """Return passages as rows of SEEN_ONCE, with times and numbers at a point."""
    once = np.zeros(len(rows), SEEN_ONCE)
    once["time_ns"], once["number"] = rows["times_ns"][:, point], rows["numbers"][:, point]
    once["stream"] = streams
    for name in ("sequence", "payload", "protocol"):
        once[name] = rows[name]
    return once


def overlaps(rows: Table, others: Table) -> npt.NDArray[np.bool_]:
    """Return a mask of the TCP segments that share bytes with one of the others in the same stream."""
    others = others[(others["protocol"] == TCP) & (others["payload"] > 0)]
    mine = (rows["protocol"] == TCP) & (rows["payload"] > 0)
    if not len(others) or not mine.any():
        return np.zeros(len(rows), bool)
    # Keys that put one stream after the other.
    starts = (others["stream"] << 33) + others["sequence"]
    order = np.argsort(starts, kind="stable")
    # The furthest end so far: a long segment may reach beyond shorter ones that start later.
    ends = np.maximum.accumulate((starts + others["payload"])[order])
    at = (rows["stream"] << 33) + rows["sequence"]
    before = np.searchsorted(starts[order], at + rows["payload"], side="left")
    shared: npt.NDArray[np.bool_] = mine & (before > 0) & (ends[np.maximum(before - 1, 0)] > at)
    return shared
