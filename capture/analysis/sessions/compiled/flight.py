"""Segments in flight: those of one side from their packet to their acknowledgment, in order of their numbers.

They are a queue in a ring: new segments have the highest numbers, and acknowledgments take the lowest. Each side of
a session with a block has a ring of FLIGHT places. When that is full, it gets a long one, which it gives back as soon
as nothing is in flight. Acknowledged segments stay in their places until newer ones take them, so that copies of them
are recognised (`segments`). Without a free ring, and beyond LONG_FLIGHT, segments are not followed, and counted
(`rtt_unsampled`).
"""

from capture.analysis.packets.packet_table import PacketRow
from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.open_table import (
    FLIGHT,
    LONG_FLIGHT,
    SIDE_BLOCK,
    OpenSession,
    OpenSide,
    Segment,
    State,
    Tables,
)
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows


@loop
def allocate_block(tables: Tables, number: int) -> None:
    """Give a session without a block one, in which its segments are followed."""
    tables.state[0].free_blocks -= 1
    tables.rows[number].block = tables.free_blocks[tables.state[0].free_blocks]
    for side in range(2):
        here = tables.sides[number, side]
        here.flight = here.flight_first = here.olds = here.holes = 0


@loop
def give_block_back(tables: Tables, number: int) -> None:
    """Free the block of a session and its sides' rings."""
    row = tables.rows[number]
    for side in range(2):
        there = tables.sides[number, side]
        there.flight = there.holes = 0
        give_ring_back(tables.segments, tables.state[0], there)
    tables.free_blocks[tables.state[0].free_blocks] = row.block
    tables.state[0].free_blocks += 1
    row.block = -1


@loop
def give_ring_back(segments: Rows[Segment], state: State, here: OpenSide) -> None:
    """Free the long ring of a side, if it has one."""
    if here.flight_ring:
        segments[here.flight_ring].time_ns = state.free_ring
        state.free_ring = here.flight_ring
        here.flight_ring = 0


@loop
def place(row: OpenSession, here: OpenSide, side: int, i: int) -> int:
    """Return the index in `segments` of followed segment i of a side."""
    if here.flight_ring:
        return here.flight_ring + (i & (LONG_FLIGHT - 1))
    return (row.block * 2 + side) * SIDE_BLOCK + (i & (FLIGHT - 1))


@loop
def holes_at(row: OpenSession, side: int) -> int:
    """Return the index in `segments` of a side's first hole; the last old segments are behind the holes."""
    return (row.block * 2 + side) * SIDE_BLOCK + FLIGHT


@loop
def drop_first(here: OpenSide) -> None:
    """Remove the segment with the lowest numbers."""
    here.flight_first += 1
    here.flight -= 1


@loop
def _lengthen(segments: Rows[Segment], state: State, row: OpenSession, here: OpenSide, side: int) -> None:
    """Move a side's segments to a long ring, if one is free."""
    ring = state.free_ring
    if ring:
        state.free_ring = segments[ring].time_ns
    elif state.unused_ring < len(segments):
        ring = state.unused_ring
        state.unused_ring += LONG_FLIGHT
    else:
        return
    for i in range(here.flight_first, here.flight_first + here.flight):
        old, new = segments[place(row, here, side, i)], segments[ring + (i & (LONG_FLIGHT - 1))]
        new.time_ns = old.time_ns
        new.start = old.start
        new.end = old.end
        new.identification = old.identification
        new.tsval = old.tsval
        new.state = old.state
    here.flight_ring = ring


@loop
def follow(
    segments: Rows[Segment],
    state: State,
    row: OpenSession,
    here: OpenSide,
    there: OpenSide,
    packet: PacketRow,
    side: int,
    start: int,
    end: int,
) -> None:
    """Keep a segment until the side `there` acknowledges it."""
    if here.flight >= FLIGHT:
        if not here.flight_ring:
            _lengthen(segments, state, row, here, side)
        if not here.flight_ring or here.flight == LONG_FLIGHT:
            there.rtt_unsampled += 1
            return
    segment = segments[place(row, here, side, here.flight_first + here.flight)]
    segment.time_ns = packet.time_ns
    segment.start = start
    segment.end = end
    segment.identification = packet.identification
    segment.tsval = packet.tsval
    segment.state = 0
    here.flight += 1


@loop
def first_at(segments: Rows[Segment], row: OpenSession, here: OpenSide, side: int, start: int) -> int:
    """Return the number of the first followed segment that begins at `start` or behind it; at the end, the next."""
    low = here.flight_first
    high = low + here.flight
    while low < high:
        middle = (low + high) // 2
        if distance(segments[place(row, here, side, middle)].start, start) < 0:
            low = middle + 1
        else:
            high = middle
    return low
