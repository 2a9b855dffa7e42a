"""Segments of one side of a TCP session -> what was sent again, what was lost before here, what was overtaken.

The problem. A file shows packets at one place on their way. The same bytes may pass it twice (the first copy was
lost behind it, or its acknowledgment was), later bytes may pass it before earlier ones (the earlier were lost
before it, and come again, or were merely overtaken), and the same packet may be in the file twice. A sender knows
which of these it was; here it has to be concluded from numbers and times.

The state of a side is small: `next`, the sequence number after the highest sent; up to HOLES holes, ranges below
`next` that were jumped over, each with the time when that was seen (`holes`); the last RECENT packets.

The invariant: every number below `next` is either seen or in a hole, as long as no hole had to be forgotten. So a
segment is one of three:

    begins at next or above    new. The gap between next and its start, if any, becomes a hole.
    ends at next or below      in a hole: it was late. In no hole: its bytes were seen before, so it is the same IP
                               packet again (same identification: a duplicate), or a retransmission.
    reaches over next          a retransmission with new bytes behind it.

What was late was overtaken if it was sent before what overtook it, and else it is a retransmission of bytes that
were lost before here. The sender's clock in the TCP timestamps tells which (RFC 3522). Within one tick of it, or
without it, time tells: a sender that learns of a loss needs a round trip of the whole way to do so, and a packet
that comes sooner than that was under way already.

Numbers are compared by their distance on a circle of 2**32 (RFC 9293, section 3.4), which is right while all that
is compared lies within half of it. After a retransmission every acknowledgment up to `recover` is ambiguous (Karn's
rule): it may be for either copy.

The cost for each packet: one comparison in the usual case, else one pass over the holes or the recent packets of
the side. Where more than HOLES holes are open at a time, the newest are not noted, and bytes that fill them later
count as sent again.
"""

import numpy as np

from capture.analysis.packets.packet_table import Kind, PacketRow
from capture.analysis.sessions.compiled.holes import fill_hole, new_hole
from capture.analysis.sessions.compiled.round_trips import follow
from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.open_table import FLIGHT, HOLES, RECENT, OpenSession, OpenSide, Segment, Tables
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.wire.protocols import FAR, FIN, SYN

_TIMESTAMPS = int(Kind.TIMESTAMPS)
_REORDERED_NS = 3_000_000
"""What fills a hole sooner was overtaken, where no round trip is known yet: as Wireshark has it."""


@loop
def take_block(tables: Tables, row: OpenSession) -> None:
    """Give the session room to follow segments."""
    if row.block < 0:
        tables.state[0].free_blocks -= 1
        row.block = tables.free_blocks[tables.state[0].free_blocks]
        for side in range(2):
            for i in range(FLIGHT + HOLES, FLIGHT + HOLES + RECENT):
                tables.blocks[row.block, side, i].identification = 0


@loop
def sent(
    tables: Tables, row: OpenSession, here: OpenSide, there: OpenSide, packet: PacketRow, side: int, occupies: int
) -> bool:
    """Take bytes, SYN or FIN of this side. True if any of them is new here."""
    start = np.int64(packet.sequence)
    end = (start + occupies) & 0xFFFFFFFF
    if packet.payload:
        here.data_packets += 1
    if not here.has_next:
        here.has_next = 1
        here.next = start
    ahead = distance(start, here.next)
    beyond = distance(end, here.next)
    if ahead >= 0:
        if packet.payload or ahead or packet.tcp_flags & FIN:
            take_block(tables, row)
            block = tables.blocks[row.block, side]
            if 0 < ahead < FAR:
                new_hole(here, block, packet.time_ns, here.next, start)
            if not packet.tcp_flags & SYN:
                follow(here, there, block, packet, start, end)
                _remember(here, block, packet, start, end)
        here.next = end
        return True
    if beyond <= 0 and occupies == 1 and packet.payload and ahead == -1:
        here.keepalives += 1  # one byte that was sent before: RFC 9293, section 3.8.4
        return False
    if beyond <= 0:
        if row.block >= 0:
            block = tables.blocks[row.block, side]
            if packet.identification and _is_copy(block, packet.identification, start, end):
                here.duplicated += 1
                return False
            _remember(here, block, packet, start, end)
            since = fill_hole(here, block, start, end)
            if since >= 0:
                _late(here, there, packet, packet.time_ns - since, occupies)
                _ambiguous(here)
                return True
        _again(here, packet, occupies)
        _ambiguous(here)
        return False
    _again(here, packet, -ahead)
    here.next = end
    _ambiguous(here)
    return True


@loop
def _again(here: OpenSide, packet: PacketRow, repeated: int) -> None:
    here.retransmitted += 1
    here.retransmitted_bytes += repeated
    if not here.retransmitted_packet:
        here.retransmitted_packet = packet.number


@loop
def _late(here: OpenSide, there: OpenSide, packet: PacketRow, after_ns: int, occupies: int) -> None:
    """What fills a hole was overtaken if it was sent before what came first: its TSval says so (RFC 3522).

    Within one tick, or without TSvals, time says so: to know of a loss, a sender needs a round trip of the whole way.
    """
    ticks = np.int64(0)
    if packet.kind & _TIMESTAMPS and here.has_tsval:
        ticks = distance(packet.tsval, here.tsval_newest)
    round_trip = np.int64(here.rtt_least_ns) + np.int64(there.rtt_least_ns)
    if here.rtt_least_ns == 0 or there.rtt_least_ns == 0:
        round_trip = _REORDERED_NS
    if ticks < 0 or (ticks == 0 and after_ns < round_trip):
        here.reordered += 1
    else:
        _again(here, packet, occupies)
        here.lost_before += 1


@loop
def _ambiguous(here: OpenSide) -> None:
    """Until all that was sent so far is acknowledged, no acknowledgment tells which copy it is for."""
    here.recovering = 1
    here.recover = here.next


@loop
def _remember(here: OpenSide, block: Rows[Segment], packet: PacketRow, start: int, end: int) -> None:
    """Keep what tells this packet from one with the same bytes."""
    recent = block[FLIGHT + HOLES + (here.data_packets & (RECENT - 1))]
    recent.start = start
    recent.end = end
    recent.identification = packet.identification


@loop
def _is_copy(block: Rows[Segment], identification: int, start: int, end: int) -> bool:
    """True if the same IP packet, not only the same bytes, is among the last that were seen."""
    for i in range(FLIGHT + HOLES, FLIGHT + HOLES + RECENT):
        segment = block[i]
        if segment.start == start and segment.end == end and segment.identification == identification:
            return True
    return False
