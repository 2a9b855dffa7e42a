"""Segments of one side of a TCP session -> retransmissions, losses before the capture point, reordering.

The problem. A file shows packets at one point of their path. The same bytes may pass it twice (the first copy was
lost after this point, or its acknowledgment was), later bytes may pass it before earlier ones (the earlier ones were
lost before this point and are sent again, or were only overtaken), and the same packet may be in the file twice. A
sender knows which of these happened; here it is inferred from sequence numbers and times.

The state of a side is small: `next`, the sequence number after the highest sent; up to HOLES holes, ranges below
`next` that were skipped, each with the time at which that was seen (`holes`); the last RECENT packets.

The invariant: every number below `next` is either seen or in a hole, as long as no hole was dropped for lack of
room. So a segment is one of three:

    begins at next or above    new. The gap between next and its start, if any, becomes a hole.
    ends at next or below      in a hole: it is late. In no hole: its bytes were seen before, so it is the same IP
                               packet again (same identification: a duplicate), or a retransmission.
    extends across next        a retransmission with new bytes behind it.

A late segment was overtaken if it was sent before the segments that came first; otherwise it is a retransmission of
bytes that were lost before this point. The sender's clock in the TCP timestamps decides (RFC 3522). Within one tick
of that clock, or without timestamps, the delay decides: a sender needs a round trip of the whole path to learn of a
loss, and a packet that comes sooner was in flight already.

Numbers are compared by their distance on a circle of 2**32 (RFC 9293, section 3.4), which is right while all of them
lie within half of it. After a retransmission every acknowledgment up to `recover` is ambiguous (Karn's
rule): it may be for either copy.

The cost for each packet: one comparison in the usual case, else one pass over the holes or the recent packets of the
side. If more than HOLES holes are open at a time, the newest are not kept, and bytes that fill them later count as
retransmitted.
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
"""Delay below which a segment that fills a hole was overtaken, while no round trip is known, ns; as in Wireshark."""


@loop
def allocate_block(tables: Tables, row: OpenSession) -> None:
    """Give the session a block in which segments are followed, if it has none."""
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
    """Handle a segment with bytes, SYN or FIN of this side. Return True if any of them is new."""
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
            allocate_block(tables, row)
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
                _count_late(here, there, packet, packet.time_ns - since, occupies)
                _begin_ambiguity(here)
                return True
        _count_retransmission(here, packet, occupies)
        _begin_ambiguity(here)
        return False
    _count_retransmission(here, packet, -ahead)
    here.next = end
    _begin_ambiguity(here)
    return True


@loop
def _count_retransmission(here: OpenSide, packet: PacketRow, repeated: int) -> None:
    here.retransmitted += 1
    here.retransmitted_bytes += repeated
    if not here.retransmitted_packet:
        here.retransmitted_packet = packet.number


@loop
def _count_late(here: OpenSide, there: OpenSide, packet: PacketRow, after_ns: int, occupies: int) -> None:
    """Count a segment that fills a hole as overtaken, or as retransmitted after a loss before this point.

    Its TSval decides (RFC 3522). Within one tick, or without TSvals, the delay since the hole was seen decides: to
    learn of a loss, a sender needs a round trip of the whole path.
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
        _count_retransmission(here, packet, occupies)
        here.lost_before += 1


@loop
def _begin_ambiguity(here: OpenSide) -> None:
    """Make acknowledgments ambiguous until all that was sent so far is acknowledged: they may be for either copy."""
    here.recovering = 1
    here.recover = here.next


@loop
def _remember(here: OpenSide, block: Rows[Segment], packet: PacketRow, start: int, end: int) -> None:
    """Keep the identification of a packet, which separates it from another with the same bytes."""
    recent = block[FLIGHT + HOLES + (here.data_packets & (RECENT - 1))]
    recent.start = start
    recent.end = end
    recent.identification = packet.identification


@loop
def _is_copy(block: Rows[Segment], identification: int, start: int, end: int) -> bool:
    """True if the same IP packet, not only the same bytes, is among the RECENT last ones."""
    for i in range(FLIGHT + HOLES, FLIGHT + HOLES + RECENT):
        segment = block[i]
        if segment.start == start and segment.end == end and segment.identification == identification:
            return True
    return False
