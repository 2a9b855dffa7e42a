"""Sequence numbers of a TCP session -> what was sent again, lost, overtaken or not captured; round trips.

Numbers are compared by their distance (RFC 9293, section 3.4). "Here" is where packets were captured: bytes that pass
a second time were lost behind it, or never; bytes that fill a hole were lost before it, or overtaken.
"""

import numpy as np

from capture.analysis.packets.packet_table import Kind, Packet
from capture.analysis.sessions.compiled.holes import fill_hole, new_hole
from capture.analysis.sessions.compiled.round_trips import follow
from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.open_table import FLIGHT, HOLES, RECENT, OpenSession, OpenSide, Segment, Tables
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.records import Records
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
    tables: Tables, row: OpenSession, here: OpenSide, there: OpenSide, packet: Packet, side: int, occupies: int
) -> bool:
    """Bytes, SYN or FIN of this side; whether any of them is new."""
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
def _again(here: OpenSide, packet: Packet, repeated: int) -> None:
    here.retransmitted += 1
    here.retransmitted_bytes += repeated
    if not here.retransmitted_packet:
        here.retransmitted_packet = packet.number


@loop
def _late(here: OpenSide, there: OpenSide, packet: Packet, after_ns: int, occupies: int) -> None:
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
def _remember(here: OpenSide, block: Records[Segment], packet: Packet, start: int, end: int) -> None:
    """Keep what tells this packet from one with the same bytes."""
    recent = block[FLIGHT + HOLES + (here.data_packets & (RECENT - 1))]
    recent.start = start
    recent.end = end
    recent.identification = packet.identification


@loop
def _is_copy(block: Records[Segment], identification: int, start: int, end: int) -> bool:
    """Whether the same IP packet, not only the same bytes, was among the last that were seen."""
    for i in range(FLIGHT + HOLES, FLIGHT + HOLES + RECENT):
        segment = block[i]
        if segment.start == start and segment.end == end and segment.identification == identification:
            return True
    return False
