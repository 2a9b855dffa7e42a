"""Segments of one side of a TCP session -> retransmissions, losses before the capture point, reordering.

The problem. A file shows packets at one point of their path. The same bytes may pass it twice (the first copy was
lost after this point, or its acknowledgment was), later bytes may pass it before earlier ones (the earlier ones were
lost before this point and are sent again, or were only overtaken), the same packet may be in the file twice, and the
file may have packets in another order than that in which they passed. A sender knows which of these happened; here
it is inferred from sequence numbers, times and the sender's counters.

The state of a side is small: `next`, the sequence number after the highest sent; up to HOLES holes, ranges below
`next` that were not seen, each with the packet that showed it (`holes`); the last RECENT packets; `known`.

The invariant: every number from `known` to `next` is either seen or in a hole. `known` is the side's first number; it
moves up where a hole had to be forgotten. So the bytes of a segment are of four kinds:

    at next or above     new. The gap between next and its start, if any, becomes a hole.
    in a hole            late: they are seen for the first time.
    seen before          repeated: the same packet again (`copies`), or a retransmission.
    below known          not known, and counted as nothing, unless the sender's clock or counter decides.

A segment with repeated bytes is a retransmission, unless it was sent before its own repetition, which overtook it, or
is only known to be older than what came before it. One with late bytes only was either overtaken, or its bytes were
lost before this point and sent again. What decides is whether it was sent before the packet that showed the hole:
the sender's clock in the TCP timestamps (RFC 3522), then its counter of IP identifications, if it counts up. Without
either, or within one tick, the delay decides: a sender needs a round trip of the whole path to learn of a loss, and
a packet that comes sooner was in flight already. Bytes that were acknowledged before they came were not lost; without
clock or counter it is not known whether they are repeated or only late in the file, and they count as neither. Nor
does a segment that comes right after both FINs were acknowledged, or after an RST: what is known of single segments
is given back then, so it may be a copy.

Numbers are compared by their distance on a circle of 2**32 (RFC 9293, section 3.4), which is right while all of them
lie within half of it: `windows` sees to that. After a retransmission every acknowledgment up to `recover` is
ambiguous (Karn's rule): it may be for either copy.

The cost for each packet: one comparison in the usual case, else one pass over the holes or the recent packets of the
side.
"""

import numpy as np

from capture.analysis.packets.packet_table import Kind, PacketRow
from capture.analysis.sessions.compiled.copies import is_copy, path_ns
from capture.analysis.sessions.compiled.flight import first_at, follow, holes_at, place
from capture.analysis.sessions.compiled.holes import (
    CLAIMED,
    SKIPPED,
    extend_downwards,
    fill_hole,
    hole_with,
    new_hole,
)
from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.compiled.windows import WINDOW, keep_base_near, start_at
from capture.analysis.sessions.open_table import (
    FLIGHT,
    HOLES,
    RECENT,
    OpenSession,
    OpenSide,
    Segment,
    State,
)
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.jit import inlined_loop
from capture.arrays.row_types import Rows
from capture.wire.protocols import SYN

_EARLIER, _LATER, _COPY = 1, 2, 3
FRESH, OLD, COPY = 0, 1, 2
"""A segment has bytes that were not seen before; has none; is a copy of a packet that was seen."""
_TIMESTAMPS = int(Kind.TIMESTAMPS)
_STEP = 1 << 10
"""Largest step between two identifications that count up, pure acknowledgments and other connections between them."""


@inlined_loop
def sent(
    segments: Rows[Segment],
    state: State,
    row: OpenSession,
    here: OpenSide,
    there: OpenSide,
    packet: PacketRow,
    side: int,
    occupies: int,
) -> int:
    """Handle a segment with bytes, SYN or FIN of this side. Return FRESH, OLD or COPY.

    All but the SYN need a block.
    """
    start = np.int64(packet.sequence)
    end = (start + occupies) & 0xFFFFFFFF
    if packet.payload:
        here.data_packets += 1
    if not here.has_next:
        skipped = there.has_acked and 0 < distance(start, there.acked) <= WINDOW
        start_at(here, np.int64(there.acked) if skipped else start, packet.tcp_flags & SYN != 0)
    ahead = distance(start, here.next)
    if ahead >= 0:
        if row.block >= 0:
            if ahead:
                at = holes_at(row, side)
                new_hole(here, segments[at : at + HOLES], packet, here.next, start, SKIPPED)
            if not packet.tcp_flags & SYN:
                follow(segments, state, row, here, there, packet, side, start, end)
        here.next = end
        keep_base_near(here)
        _count_up(here, packet)
        return FRESH
    if row.block < 0:
        _count_retransmission(here, there, packet, start, occupies)
        return OLD
    at = holes_at(row, side)
    block, recent = segments[at : at + HOLES], segments[at + HOLES : at + HOLES + RECENT]
    same = _compare_same(segments, recent, row, here, there, packet, side, start, end)
    if same == _COPY:
        here.duplicated += 1
        return COPY
    to_newest = _order_to_newest(here, packet)
    if same == _EARLIER and to_newest <= 0:
        _count_repetition_before(here, there, recent, packet, start, end)
        _begin_ambiguity(here)
        return OLD
    last = recent[here.olds & (RECENT - 1)]
    _remember(here, last, packet, start, end)
    beyond = distance(end, here.next)
    old_end = end if beyond <= 0 else np.int64(here.next)
    late, order, lost, since = _fill(here, block, packet, start, old_end)
    unknown = max(min(distance(here.known, start), distance(old_end, start)) - late, 0)
    repeated = distance(old_end, start) - late - unknown
    if repeated == 1 and occupies == 1 and packet.payload and ahead == -1 and _is_idle(here, there):
        here.keepalives += 1  # one byte that was sent before: RFC 9293, section 3.8.4
        return OLD
    if unknown and not here.forgot:
        extend_downwards(here, there, block, packet, start, old_end)
    again = (
        same > 0
        or (repeated > 0 and to_newest >= 0 and not (to_newest == 0 and _may_be_copy(row, here, there, packet)))
        or (late > 0 and _is_again(here, there, order, lost, packet.time_ns - since))
    )
    if repeated == 0 and late == 0:
        again = to_newest > 0  # all of it is below `known`
    last.state = (1 + lost) if again else 0  # counted as a retransmission; also as one of lost bytes
    if again:
        _count_retransmission(here, there, packet, start, occupies if beyond <= 0 else -ahead)
        here.lost_before += lost
    elif lost and packet.time_ns >= since:
        here.reordered += 1
    if beyond > 0:
        here.next = end
        keep_base_near(here)
    if again or lost:
        _begin_ambiguity(here)
    return FRESH if beyond > 0 or late else OLD


@loop
def _count_repetition_before(
    here: OpenSide, there: OpenSide, recent: Rows[Segment], packet: PacketRow, start: int, end: int
) -> None:
    """Count the repetition of a packet that came before it: until now it was not known to be one."""
    counted = False
    for i in range(RECENT):
        if i < here.olds and recent[i].start == start and recent[i].end == end:
            if packet.time_ns >= recent[i].time_ns:
                here.reordered += 1
            counted = recent[i].state != 0
            if recent[i].state == 2:
                here.lost_before -= 1  # they were not lost, only late
            recent[i].state = 1
            break
    if not counted:
        _count_retransmission(here, there, packet, start, distance(end, start))


@loop
def _begin_ambiguity(here: OpenSide) -> None:
    """Make acknowledgments ambiguous until all that was sent so far is acknowledged: they may be for either copy."""
    here.recovering = 1
    here.recover = here.next


@loop
def _may_be_copy(row: OpenSession, here: OpenSide, there: OpenSide, packet: PacketRow) -> bool:
    """True if the packet may be a copy of one that passed before the block with its fields was given back."""
    return row.over_ns != 0 and is_copy(here, there, np.int64(packet.identification), packet.time_ns - row.over_ns)


@loop
def know_as_sent(here: OpenSide, recent: Rows[Segment]) -> None:
    """Take the identification of the last repetition for the latest, so that a copy of it is not sent after it."""
    for i in range(RECENT):
        if i < here.olds and recent[i].state:
            ahead = _counted(np.int64(recent[i].identification), np.int64(here.identification))
            if 0 < ahead <= _STEP:
                here.identification = recent[i].identification


@loop
def _fill(here: OpenSide, block: Rows[Segment], packet: PacketRow, start: int, end: int) -> tuple[int, int, int, int]:
    """Remove [start, end) from all holes.

    Return the bytes that they had of it; 1 if the packet was sent after the one that showed the hole, -1 if before, 0
    if that is unknown; 1 if bytes were not acknowledged; and the time at which the hole was shown, ns.
    """
    late, order, lost, since = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    at = hole_with(here, block, start, end)
    while at >= 0:
        hole = block[at]
        since = hole.time_ns
        lost |= hole.state == SKIPPED
        if hole.state != CLAIMED:
            order = _sent_after(here, packet, np.int64(hole.identification), np.int64(hole.tsval))
        late += fill_hole(here, block, at, start, end)
        at = hole_with(here, block, start, end)
    return late, order, lost, since


@loop
def _sent_after(here: OpenSide, packet: PacketRow, identification: int, tsval: int) -> int:
    """Return 1 if a packet was sent after another, -1 if before, 0 if its sender's clock and counter show neither."""
    order = np.int64(0)
    if packet.kind & _TIMESTAMPS:
        order = distance(packet.tsval, tsval)
    if order == 0 and here.counting and packet.family == 4 and packet.identification and identification:
        order = _counted(np.int64(packet.identification), identification)
        if abs(order) > _STEP:
            return np.int64(0)
    return min(max(order, -1), 1)


@loop
def _counted(identification: int, since: int) -> int:
    """Return the steps from one identification up to another; below 0: down to it."""
    return ((identification - since + 0x8000) & 0xFFFF) - 0x8000


@loop
def _is_again(here: OpenSide, there: OpenSide, order: int, lost: int, after_ns: int) -> bool:
    """True if a packet with late bytes was sent again; it came `after_ns` after the one that showed the hole."""
    if after_ns < 0:
        return False  # it only stands behind that packet in the file
    if order == 0 and lost:
        return after_ns >= path_ns(here, there)
    return order > 0


@loop
def _is_idle(here: OpenSide, there: OpenSide) -> bool:
    """True if all bytes of a side were acknowledged, as far as it is known."""
    return not there.has_acked or distance(there.acked, here.next) >= 0


@loop
def _count_retransmission(here: OpenSide, there: OpenSide, packet: PacketRow, start: int, repeated: int) -> None:
    here.retransmitted += 1
    here.retransmitted_bytes += repeated
    if not here.retransmitted_packet:
        here.retransmitted_packet = packet.number
    if packet.payload and there.has_acked and distance(start, there.acked) == 0 and not there.no_room:
        here.stuck_size = packet.payload if here.stuck == 0 else min(here.stuck_size, packet.payload)
        here.stuck += 1


@loop
def _count_up(here: OpenSide, packet: PacketRow) -> None:
    """Follow the identifications of new segments: whether the sender counts them up."""
    if packet.family != 4:
        return
    step = (np.int64(packet.identification) - np.int64(here.identification)) & 0xFFFF
    here.counting = 0 < step < _STEP
    here.identification = packet.identification


@loop
def _remember(here: OpenSide, recent: Segment, packet: PacketRow, start: int, end: int) -> None:
    """Keep the fields of an old segment by which its copies are recognised."""
    recent.time_ns = packet.time_ns
    recent.start = start
    recent.end = end
    recent.identification = packet.identification
    recent.tsval = packet.tsval
    here.olds += 1


@loop
def _compare_same(
    segments: Rows[Segment],
    recent: Rows[Segment],
    row: OpenSession,
    here: OpenSide,
    there: OpenSide,
    packet: PacketRow,
    side: int,
    start: int,
    end: int,
) -> int:
    """Compare a packet with the same segments in flight, the FLIGHT before these, and the RECENT last old ones.

    Return _COPY if it is a copy of one; else _LATER if it was sent after one, so it repeats that; else _EARLIER if it
    was sent before one, so that its own repetition overtook it; else 0.
    """
    first = first_at(segments, row, here, side, start)
    last = min(first + 1, here.flight_first + here.flight)
    if first == here.flight_first:
        first = max(here.flight_first + here.flight - FLIGHT, 0)
    found = 0
    for i in range(first, last):
        found = max(found, _compare(here, there, segments[place(row, here, side, i)], packet, start, end))
    for i in range(RECENT):
        if i < here.olds:
            found = max(found, _compare(here, there, recent[i], packet, start, end))
    return found


@loop
def _compare(here: OpenSide, there: OpenSide, one: Segment, packet: PacketRow, start: int, end: int) -> int:
    if one.start != start or one.end != end:
        return 0
    if one.identification == packet.identification and one.tsval == packet.tsval:
        apart_ns = packet.time_ns - one.time_ns
        return _COPY if is_copy(here, there, np.int64(packet.identification), apart_ns) else _LATER
    order = _sent_after(here, packet, np.int64(one.identification), np.int64(one.tsval))
    return 0 if order == 0 else (_LATER if order > 0 else _EARLIER)


@loop
def _order_to_newest(here: OpenSide, packet: PacketRow) -> int:
    """Return 1 if a packet was sent after the segment with the highest numbers, -1 if before, 0 if unknown."""
    tsval = np.int64(here.tsval_newest) if here.has_tsval else np.int64(packet.tsval)
    return _sent_after(here, packet, np.int64(here.identification), tsval)
