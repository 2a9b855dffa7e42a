"""Sequence numbers of a TCP session -> what was sent again, lost, overtaken or not captured; round trips.

Numbers are compared by their distance (RFC 9293, section 3.4). "Here" is where packets were captured: bytes that pass
a second time were lost behind it, or never; bytes that fill a hole were lost before it, or overtaken.
"""

from typing import Any

import numpy as np

from capture.analysis.packets.packet_table import FAR, FIN, FLIGHT, HOLES, RECENT, SYN, Kind, Measure
from capture.analysis.sessions.compiled.closing import FREE_BLOCKS, sample
from capture.arrays.jit import borrowing_loop as loop

_TIMESTAMPS = int(Kind.TIMESTAMPS)
_ACKNOWLEDGMENT, _PARTIAL, _PIGGYBACK = int(Measure.ACKNOWLEDGMENT), int(Measure.PARTIAL), int(Measure.PIGGYBACK)
_CLIENT, _SERVER = 0, 1
_REORDERED_NS = 3_000_000
"""What fills a hole sooner was overtaken, where no round trip is known yet: as Wireshark has it."""


@loop
def distance(a: int, b: int) -> int:
    """a - b on the circle of sequence numbers."""
    return ((np.int64(a) - np.int64(b) + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@loop
def take_block(tables: Any, row: Any) -> None:
    """Give the session room to follow segments."""
    if row.block < 0:
        tables.state[FREE_BLOCKS] -= 1
        row.block = tables.free_blocks[tables.state[FREE_BLOCKS]]
        for side in range(2):
            for i in range(FLIGHT + HOLES, FLIGHT + HOLES + RECENT):
                tables.blocks[row.block, side, i].identification = 0


@loop
def sent(tables: Any, row: Any, here: Any, there: Any, packet: Any, side: int, occupies: int) -> bool:
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
                _new_hole(here, block, packet.time_ns, here.next, start)
            if not packet.tcp_flags & SYN:
                _follow(here, there, block, packet, start, end)
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
            since = _fill_hole(here, block, start, end)
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
def _again(here: Any, packet: Any, repeated: int) -> None:
    here.retransmitted += 1
    here.retransmitted_bytes += repeated
    if not here.retransmitted_packet:
        here.retransmitted_packet = packet.number


@loop
def _late(here: Any, there: Any, packet: Any, after_ns: int, occupies: int) -> None:
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
def _ambiguous(here: Any) -> None:
    """Until all that was sent so far is acknowledged, no acknowledgment tells which copy it is for."""
    here.recovering = 1
    here.recover = here.next


@loop
def _new_hole(here: Any, block: Any, now: int, start: int, end: int) -> None:
    if here.holes < HOLES:
        hole = block[FLIGHT + here.holes]
        hole.time_ns = now
        hole.start = start
        hole.end = end
        here.holes += 1


@loop
def _fill_hole(here: Any, block: Any, start: int, end: int) -> int:
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
                    _new_hole(here, block, since, end, hole_end)
            elif behind:
                hole.start = end
            else:
                _drop_hole(here, block, i)
            return since
    return -1


@loop
def _drop_hole(here: Any, block: Any, i: int) -> None:
    here.holes -= 1
    last, hole = block[FLIGHT + here.holes], block[FLIGHT + i]
    hole.time_ns = last.time_ns
    hole.start = last.start
    hole.end = last.end


@loop
def _remember(here: Any, block: Any, packet: Any, start: int, end: int) -> None:
    """Keep what tells this packet from one with the same bytes."""
    recent = block[FLIGHT + HOLES + (here.data_packets & (RECENT - 1))]
    recent.start = start
    recent.end = end
    recent.identification = packet.identification


@loop
def _is_copy(block: Any, identification: int, start: int, end: int) -> bool:
    """Whether the same IP packet, not only the same bytes, was among the last that were seen."""
    for i in range(FLIGHT + HOLES, FLIGHT + HOLES + RECENT):
        segment = block[i]
        if segment.start == start and segment.end == end and segment.identification == identification:
            return True
    return False


@loop
def _follow(here: Any, there: Any, block: Any, packet: Any, start: int, end: int) -> None:
    """Remember a segment until it is acknowledged. `there` is who will do so."""
    if here.flight == FLIGHT:
        there.rtt_unsampled += 1
        return
    segment = block[here.flight]
    segment.time_ns = packet.time_ns
    segment.start = start
    segment.end = end
    segment.sampled = 0
    here.flight += 1


@loop
def acknowledged_by(tables: Any, row: Any, here: Any, there: Any, packet: Any, side: int, by_client: bool) -> None:
    """What this side has received: samples of the segments it acknowledges, and what the file does not have."""
    acknowledged = np.int64(packet.acknowledgment)
    if not here.has_acked:
        here.has_acked = 1
        here.acked = acknowledged
        advance = np.int64(1)
    else:
        advance = distance(acknowledged, here.acked)
        here.advances += 0 < advance < FAR
    if advance <= 0 or advance >= FAR:
        return
    here.acked = acknowledged
    if there.has_next:
        unseen = distance(acknowledged, there.next)
        if 0 < unseen < FAR:
            there.not_captured += unseen
            there.next = acknowledged
    if row.block < 0:
        return
    block = tables.blocks[row.block, 1 - side]
    _close_holes(there, block, acknowledged)
    ambiguous = there.recovering and distance(acknowledged, there.recover) <= 0
    if there.recovering and distance(acknowledged, there.recover) >= 0:
        there.recovering = 0
    kept = 0
    covered = False
    for i in range(there.flight):
        segment = block[i]
        end_ahead = distance(segment.end, acknowledged)
        measure = -1
        if end_ahead <= 0:
            covered = True
            if end_ahead == 0:
                measure = _PARTIAL if segment.sampled else (_PIGGYBACK if packet.payload else _ACKNOWLEDGMENT)
        elif distance(segment.start, acknowledged) < 0 and not segment.sampled:
            measure = _PARTIAL
        if measure >= 0 and not ambiguous and not (measure == _PARTIAL and segment.sampled):
            round_trip(tables, row, here, packet.time_ns, packet.time_ns - segment.time_ns, measure, by_client)
            segment.sampled = 1
        if end_ahead > 0:
            if kept != i:
                moved = block[kept]
                moved.time_ns = segment.time_ns
                moved.start = segment.start
                moved.end = segment.end
                moved.sampled = segment.sampled
            kept += 1
    there.flight = kept
    if ambiguous and covered:
        here.rtt_ambiguous += 1


@loop
def _close_holes(there: Any, block: Any, acknowledged: int) -> None:
    """A hole that is acknowledged was not lost on the way: the file lacks it."""
    i = 0
    while i < there.holes:
        hole = block[FLIGHT + i]
        if distance(hole.end, acknowledged) <= 0:
            there.not_captured += distance(hole.end, hole.start)
            _drop_hole(there, block, i)
        else:
            i += 1


@loop
def round_trip(tables: Any, row: Any, here: Any, now: int, took_ns: int, measure: int, by_client: bool) -> None:
    """A sample of the way from here to that side and back."""
    if took_ns < 0:
        return
    sample(tables, row.session, now, measure, _CLIENT if by_client else _SERVER, took_ns)
    if here.rtt_least_ns == 0 or took_ns < here.rtt_least_ns:
        here.rtt_least_ns = max(took_ns, 1)
    if measure == _ACKNOWLEDGMENT:
        if here.rtt_count == 0 or took_ns < here.rtt_min_ns:
            here.rtt_min_ns = took_ns
        here.rtt_max_ns = max(here.rtt_max_ns, took_ns)
        here.rtt_sum_ns += took_ns
        here.rtt_count += 1
