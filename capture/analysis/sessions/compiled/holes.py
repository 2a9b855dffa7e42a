"""Holes of one side: ranges of bytes that later ones jumped over, until they come or are acknowledged.

A hole leaves by one of three ways. Bytes of it come: it shrinks, or falls into two. All of it is acknowledged though
it never came: it was not lost on the way, the file lacks it. The session ends. Holes do not overlap, and their order
means nothing: one that leaves is replaced by the last.
"""

from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.open_table import FLIGHT, HOLES, OpenSide, Segment
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows


@loop
def new_hole(here: OpenSide, block: Rows[Segment], now: int, start: int, end: int) -> None:
    if here.holes < HOLES:
        hole = block[FLIGHT + here.holes]
        hole.time_ns = now
        hole.start = start
        hole.end = end
        here.holes += 1


@loop
def fill_hole(here: OpenSide, block: Rows[Segment], start: int, end: int) -> int:
    """Take [start, end) out of a hole; when the hole was seen, -1 if it was in none."""
    for i in range(here.holes):
        hole = block[FLIGHT + i]
        if distance(start, hole.end) < 0 and distance(end, hole.start) > 0:
            since = hole.time_ns
            before, behind = distance(start, hole.start) > 0, distance(hole.end, end) > 0
            hole_end = hole.end
            if before:
                hole.end = start
                if behind:
                    new_hole(here, block, since, end, hole_end)
            elif behind:
                hole.start = end
            else:
                _drop_hole(here, block, i)
            return since
    return -1


@loop
def _drop_hole(here: OpenSide, block: Rows[Segment], i: int) -> None:
    here.holes -= 1
    last, hole = block[FLIGHT + here.holes], block[FLIGHT + i]
    hole.time_ns = last.time_ns
    hole.start = last.start
    hole.end = last.end


@loop
def close_holes(there: OpenSide, block: Rows[Segment], acknowledged: int) -> None:
    """A hole that is acknowledged was not lost on the way: the file lacks it."""
    i = 0
    while i < there.holes:
        hole = block[FLIGHT + i]
        if distance(hole.end, acknowledged) <= 0:
            there.not_captured += distance(hole.end, hole.start)
            _drop_hole(there, block, i)
        else:
            i += 1
