"""Holes of one side: ranges of sequence numbers that are not in the file, or not yet.

A hole is made by a segment that skips numbers, or by an acknowledgment of numbers that were not seen. Three events
change it. Some of its bytes come: it shrinks, or splits in two. It is acknowledged: the other side has its bytes, so
the network did not lose them, and the file lacks them (`not_captured`), until they come after all: in a file of
several queues, or put together by hand, a segment may stand behind its acknowledgment. The session ends.

The invariant: `not_captured` is the number of bytes that were acknowledged and have not come. Holes do not overlap,
and their order has no meaning: the last hole takes the place of one that is removed.

Without room for one more hole, one is forgotten, preferably one that is acknowledged, since its bytes are counted. It
is then not known of the numbers below its end whether they were seen (`known`, `forgot`).
"""

import numpy as np

from capture.analysis.packets.packet_table import PacketRow
from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.open_table import HOLES, OpenSide, Segment
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.wire.protocols import SYN

SKIPPED, ACKNOWLEDGED, CLAIMED, EARLY = 0, 1, 2, 3
"""States: skipped by a segment; then acknowledged; known by an acknowledgment only; below the first segment of a file
without the SYN, so perhaps sent before the capture began."""


@loop
def new_hole(here: OpenSide, block: Rows[Segment], packet: PacketRow, start: int, end: int, state: int) -> None:
    """Add the hole [start, end) that a packet shows."""
    identification = np.int64(packet.identification) if packet.family == 4 else np.int64(0)
    _put_hole(here, block, packet.time_ns, start, end, identification, packet.tsval, state)


@loop
def _put_hole(
    here: OpenSide, block: Rows[Segment], now: int, start: int, end: int, identification: int, tsval: int, state: int
) -> None:
    at: int = np.int64(here.holes)
    if here.holes < HOLES:
        here.holes += 1
    else:
        at = _dispensable(block)
        forgotten = end if at < 0 else block[at].end
        here.forgot = 1
        if distance(forgotten, here.known) > 0:
            here.known = forgotten
        if at < 0:
            return
    hole = block[at]
    hole.time_ns = now
    hole.start = start
    hole.end = end
    hole.identification = identification
    hole.tsval = tsval
    hole.state = state


@loop
def _dispensable(block: Rows[Segment]) -> int:
    """Return the place of a hole whose bytes are counted already; -1 if there is none."""
    for i in range(HOLES):
        if block[i].state != SKIPPED:
            return i
    return -1


@loop
def hole_with(here: OpenSide, block: Rows[Segment], start: int, end: int) -> int:
    """Return the place of a hole that shares bytes with [start, end); -1 if there is none."""
    for i in range(np.int64(here.holes)):
        if distance(start, block[i].end) < 0 and distance(end, block[i].start) > 0:
            return i
    return -1


@loop
def fill_hole(here: OpenSide, block: Rows[Segment], at: int, start: int, end: int) -> int:
    """Remove [start, end) from the hole at this place. Return the bytes that it had of them."""
    hole = block[at]
    hole_start, hole_end = hole.start, hole.end
    first = start if distance(start, hole_start) > 0 else hole_start
    last = end if distance(end, hole_end) < 0 else hole_end
    size = distance(last, first)
    if hole.state in (ACKNOWLEDGED, CLAIMED):
        here.not_captured -= size
    before, behind = distance(first, hole_start) > 0, distance(hole_end, last) > 0
    if before:
        hole.end = first
        if behind:
            _put_hole(here, block, hole.time_ns, last, hole_end, hole.identification, hole.tsval, hole.state)
    elif behind:
        hole.start = last
    else:
        _drop_hole(here, block, at)
    return size


@loop
def _drop_hole(here: OpenSide, block: Rows[Segment], at: int) -> None:
    here.holes -= 1
    last, hole = block[here.holes], block[at]
    hole.time_ns = last.time_ns
    hole.start = last.start
    hole.end = last.end
    hole.identification = last.identification
    hole.tsval = last.tsval
    hole.state = last.state


@loop
def acknowledge_holes(there: OpenSide, block: Rows[Segment], acknowledged: int) -> None:
    """Count the bytes of holes that are acknowledged: the file lacks them."""
    for i in range(np.int64(there.holes)):
        hole = block[i]
        if hole.state == SKIPPED and distance(acknowledged, hole.start) > 0:
            rest = distance(hole.end, acknowledged)
            there.not_captured += distance(hole.end, hole.start) - max(rest, 0)
            hole.state = ACKNOWLEDGED
            if rest > 0:
                end = hole.end
                hole.end = acknowledged
                _put_hole(there, block, hole.time_ns, acknowledged, end, hole.identification, hole.tsval, SKIPPED)


@loop
def claim(there: OpenSide, block: Rows[Segment], packet: PacketRow, size: int) -> None:
    """Make a hole of the `size` bytes from `next` on that were acknowledged before they were seen."""
    end = (there.next + size) & 0xFFFFFFFF
    there.not_captured += size
    for i in range(np.int64(there.holes)):
        if block[i].state == CLAIMED and block[i].end == there.next:
            block[i].end = end
            return
    _put_hole(there, block, packet.time_ns, there.next, end, 0, 0, CLAIMED)


@loop
def extend_downwards(
    here: OpenSide, there: OpenSide, block: Rows[Segment], packet: PacketRow, start: int, end: int
) -> None:
    """Begin a side's numbers with the segment [start, end), which stands behind later ones in the file."""
    if distance(here.known, end) > 0:
        # What fills it was sent before the newest segment so far, unless it is sent again.
        identification = np.int64(here.identification) if packet.family == 4 else np.int64(0)
        _put_hole(here, block, packet.time_ns, end, here.known, identification, here.tsval_newest, EARLY)
        if here.forgot:
            return
    here.known = start
    if packet.tcp_flags & SYN:
        here.base = start
        for i in range(np.int64(here.holes)):
            if block[i].state == EARLY:
                block[i].state = SKIPPED
        if there.has_acked:
            acknowledge_holes(here, block, np.int64(there.acked))
