"""Segments in flight and their acknowledgments -> round trips, and bytes that the file does not have.

Up to FLIGHT segments of a side are followed from the capture point to their acknowledgment. The time between the two
is the round trip to the other side and its wait there: one sample of the side that acknowledges. Only segments that
were sent once give samples (Karn's rule). The measure says how exact a sample is: the acknowledgment ends where the
segment does (ACKNOWLEDGMENT), carries payload and may have waited for it (PIGGYBACK), or covers a part of a large
segment (PARTIAL).

Bytes that are acknowledged beyond the highest sequence number seen were received, so the network did not lose them:
the file does not have them (`not_captured`).
"""

import numpy as np

from capture.analysis.packets.packet_table import PacketRow
from capture.analysis.sessions.compiled.closing import sample
from capture.analysis.sessions.compiled.holes import close_holes
from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.open_table import FLIGHT, OpenSession, OpenSide, Segment, Tables
from capture.analysis.sessions.session_table import Measure
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.wire.protocols import FAR

_ACKNOWLEDGMENT, _PARTIAL, _PIGGYBACK = int(Measure.ACKNOWLEDGMENT), int(Measure.PARTIAL), int(Measure.PIGGYBACK)
_CLIENT, _SERVER = 0, 1


@loop
def follow(here: OpenSide, there: OpenSide, block: Rows[Segment], packet: PacketRow, start: int, end: int) -> None:
    """Keep a segment until the side `there` acknowledges it."""
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
def acknowledged_by(
    tables: Tables, row: OpenSession, here: OpenSide, there: OpenSide, packet: PacketRow, side: int, by_client: bool
) -> None:
    """Handle an acknowledgment of this side: add samples, count acknowledged bytes that the file does not have."""
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
    close_holes(there, block, acknowledged)
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
def round_trip(
    tables: Tables, row: OpenSession, here: OpenSide, now: int, took_ns: int, measure: int, by_client: bool
) -> None:
    """Add a sample of the round trip from the capture point to the side `here`."""
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
