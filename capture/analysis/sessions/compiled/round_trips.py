"""Segments in flight and their acknowledgments -> round trips, and bytes that the file does not have.

Segments of a side are followed from the capture point to their acknowledgment (`flight`). The time between the two is
the round trip to the other side and its wait there: one sample of the side that acknowledges. Only segments that
were sent once give samples (Karn's rule). The measure says how exact a sample is: the acknowledgment ends where the
segment does (ACKNOWLEDGMENT), carries payload and may have waited for it (PIGGYBACK), or covers a part of a large
segment (PARTIAL).

Bytes that are acknowledged and were not seen were received, so the network did not lose them: the file does not have
them (`not_captured`), or has them behind their acknowledgment (`holes`).
"""

import numpy as np

from capture.analysis.packets.packet_table import PacketRow
from capture.analysis.sessions.compiled.flight import drop_first, give_ring_back, holes_at, place
from capture.analysis.sessions.compiled.holes import acknowledge_holes, claim
from capture.analysis.sessions.compiled.samples import sample
from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.compiled.windows import keep_base_near
from capture.analysis.sessions.open_table import HOLES, OpenSession, OpenSide, Segment, State
from capture.analysis.sessions.session_table import Measure, Sample
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.jit import inlined_loop
from capture.arrays.row_types import Rows

_ACKNOWLEDGMENT, _PARTIAL, _PIGGYBACK = int(Measure.ACKNOWLEDGMENT), int(Measure.PARTIAL), int(Measure.PIGGYBACK)
_CLIENT, _SERVER = 0, 1


@inlined_loop
def acknowledged_by(
    segments: Rows[Segment],
    samples: Rows[Sample],
    state: State,
    row: OpenSession,
    here: OpenSide,
    there: OpenSide,
    packet: PacketRow,
    side: int,
    by_client: bool,
) -> bool:
    """Handle an acknowledgment of this side: add samples, count acknowledged bytes that the file does not have.

    Return True if it acknowledges more than the ones before. Numbers that were not seen need a block.
    """
    acknowledged = np.int64(packet.acknowledgment)
    if not here.has_acked:
        here.has_acked = 1
        here.acked = acknowledged
        advance = np.int64(1)
    else:
        advance = distance(acknowledged, here.acked)
        here.advances += advance > 0
    if advance <= 0:
        return False
    here.acked = acknowledged
    there.stuck = 0
    unseen = distance(acknowledged, there.next) if there.has_next else np.int64(0)
    if unseen > 0:
        at = holes_at(row, 1 - side)
        claim(there, segments[at : at + HOLES], packet, unseen)
        there.next = acknowledged
        keep_base_near(there)
    if row.block < 0:
        return True
    if there.holes:
        at = holes_at(row, 1 - side)
        acknowledge_holes(there, segments[at : at + HOLES], acknowledged)
    ambiguous = there.recovering and distance(acknowledged, there.recover) <= 0
    if there.recovering and distance(acknowledged, there.recover) >= 0:
        there.recovering = 0
    if not there.flight:
        return True
    covered = False
    while there.flight:
        segment = segments[place(row, there, 1 - side, there.flight_first)]
        end_ahead = distance(segment.end, acknowledged)
        if end_ahead > 0 and distance(segment.start, acknowledged) >= 0:
            break
        measure = -1
        if end_ahead == 0:
            measure = _PARTIAL if segment.state else (_PIGGYBACK if packet.payload else _ACKNOWLEDGMENT)
        elif end_ahead > 0:
            measure = _PARTIAL
        if measure >= 0 and not ambiguous and not segment.state:
            round_trip(
                samples, state, row, here, packet.time_ns, packet.time_ns - segment.time_ns, measure, by_client
            )
            segment.state = 1
        if end_ahead > 0:
            break
        covered = True
        there.largest_acknowledged = max(there.largest_acknowledged, distance(segment.end, segment.start))
        drop_first(there)
    if not there.flight:
        give_ring_back(segments, state, there)
    if ambiguous and covered:
        here.rtt_ambiguous += 1
    return True


@loop
def round_trip(
    samples: Rows[Sample],
    state: State,
    row: OpenSession,
    here: OpenSide,
    now: int,
    took_ns: int,
    measure: int,
    by_client: bool,
) -> None:
    """Add a sample of the round trip from the capture point to the side `here`."""
    if took_ns < 0:
        return
    sample(samples, state, row.session, now, measure, _CLIENT if by_client else _SERVER, took_ns)
    if here.rtt_least_ns == 0 or took_ns < here.rtt_least_ns:
        here.rtt_least_ns = max(took_ns, 1)
    if measure == _ACKNOWLEDGMENT:
        if here.rtt_count == 0 or took_ns < here.rtt_min_ns:
            here.rtt_min_ns = took_ns
        here.rtt_max_ns = max(here.rtt_max_ns, took_ns)
        here.rtt_sum_ns += took_ns
        here.rtt_count += 1
