"""Holes of one side: ranges of sequence numbers that later segments skipped, until they come or are acknowledged.

Three events change a hole. Some of its bytes come: it shrinks, or splits in two. All of it is acknowledged though it
never came: the network did not lose it, the file lacks it. The session ends. Holes do not overlap, and their order
has no meaning: the last hole takes the place of one that is removed.
"""

from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.open_table import FLIGHT, HOLES, OpenSide, Segment
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows


@loop
def new_hole(here: OpenSide, block: Rows[Segment], now: int, start: int, end: int) -> None:
    """Add the hole [start, end), if there is room for one more."""
    if here.holes < HOLES:
        hole = block[FLIGHT + here.holes]
        hole.time_ns = now
        hole.start = start
        hole.end = end
        here.holes += 1


@loop
def fill_hole(here: OpenSide, block: Rows[Segment], start: int, end: int) -> int:
    """Remove [start, end) from a hole. Return the time at which the hole was seen, ns; -1 if no hole has it."""
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
    """Remove holes that are acknowledged; the file lacks their bytes."""
    i = 0
    while i < there.holes:
        hole = block[FLIGHT + i]
        if distance(hole.end, acknowledged) <= 0:
            there.not_captured += distance(hole.end, hole.start)
            _drop_hole(there, block, i)
        else:
            i += 1
