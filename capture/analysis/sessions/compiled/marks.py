"""Counts of a session before and after a packet -> the marks of the packet: whatever it was counted as, it is.

So a packet's line and the session's row cannot disagree.
"""

import numpy as np

from capture.analysis.packets.packet_table import Mark
from capture.analysis.sessions.open_table import OpenSession, OpenSide
from capture.arrays.jit import borrowing_loop as loop

_REPEATED, _LOST_BEFORE, _OVERTAKEN, _COPY, _KEEPALIVE, _ZERO_WINDOW, _AFTER_GAP, _UNSEEN = (
    int(mark) for mark in Mark
)

Counts = tuple[int, int, int, int, int, int, int, int]
NO_COUNTS: Counts = (0, 0, 0, 0, 0, 0, 0, 0)


@loop
def counts(row: OpenSession, here: OpenSide, there: OpenSide) -> Counts:
    """Return the counts that a packet of side `here` may raise, in the order of Mark's bits."""
    return (
        np.int64(here.retransmitted) + np.int64(row.repeated),
        np.int64(here.lost_before),
        np.int64(here.reordered),
        np.int64(here.duplicated),
        np.int64(here.keepalives),
        np.int64(here.zero_windows),
        np.int64(here.holes),
        np.int64(there.not_captured),
    )


@loop
def marks(before: Counts, after: Counts) -> int:
    """Return the bits of Mark for the counts that a packet raised."""
    return (
        _REPEATED * (after[0] > before[0])
        | _LOST_BEFORE * (after[1] > before[1])
        | _OVERTAKEN * (after[2] > before[2])
        | _COPY * (after[3] > before[3])
        | _KEEPALIVE * (after[4] > before[4])
        | _ZERO_WINDOW * (after[5] > before[5])
        | _AFTER_GAP * (after[6] > before[6])
        | _UNSEEN * (after[7] > before[7])
    )
