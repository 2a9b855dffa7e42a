"""Numbers of a TCP packet -> whether it belongs to the connection that its session has open.

The problem. Packets of another connection have the same five-tuple: an old connection that one side still has open
answers a new SYN with an ACK of its own numbers (RFC 5961), which the client resets; duplicates of a connection
before arrive late. Taken as numbers of this connection, they show megabytes that were never sent.

The law (RFC 9293, sections 3.4 and 3.10): a number belongs to a connection if it lies in a window. Below, the window
ends at the side's SYN; where that is not in the file, or long ago, WINDOW below the highest number seen. Above, it
ends WINDOW above it, because the file may lack what was sent between. While of a connection only the SYN was seen, it
ends EARLY above that: not more can stand behind in a file that is a little out of order, and a packet that claims
more needs a second number that does belong, as a witness.

A packet of which a number does not belong tells nothing about the session: it is counted, and marked FOREIGN. If the
file lacks more than a window, all that follows looks foreign. So after STRAYS of a side in a row, without one between
that belongs, the numbers start anew with the next packet.
"""

import numpy as np

from capture.analysis.packets.packet_table import PacketRow
from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.open_table import OpenSession, OpenSide
from capture.arrays.jit import borrowing_loop as loop
from capture.wire.protocols import ACK, RST, SYN

WINDOW = 1 << 26
"""Farthest that a number lies from those seen, bytes: ten windows of Linux by default (tcp_rmem: 6 MiB)."""
STRAYS = 8
"""More than a client's SYNs in vain (tcp_syn_retries: 6), each of which an old connection may answer."""
EARLY = 1 << 16
"""Bytes that may be out of order in a file around the SYN: a window without scaling."""


@loop
def belongs(row: OpenSession, here: OpenSide, there: OpenSide, packet: PacketRow) -> bool:
    """True if both numbers of a packet belong to the connection; a packet of `here`, not a SYN."""
    flags = np.int64(packet.tcp_flags)
    if here.has_next:
        beyond = distance(packet.sequence, here.next)
        if beyond > WINDOW or distance(packet.sequence, here.base) < 0:
            return False
        alone = not flags & ACK or not there.has_next
        if beyond > EARLY and flags & RST and alone and row.syns and not here.goes_on:
            return False
    elif there.has_acked and not flags & RST and abs(distance(packet.sequence, there.acked)) > WINDOW:
        return False
    if not flags & ACK:
        return True
    if there.has_next:
        beyond = distance(packet.acknowledgment, there.next)
        if beyond > WINDOW or distance(packet.acknowledgment, there.base) <= 0:
            return False
        return beyond <= EARLY or here.has_next != 0 or there.goes_on != 0 or row.syns == 0
    return not here.has_acked or abs(distance(packet.acknowledgment, here.acked)) <= WINDOW


@loop
def answers_syn(row: OpenSession, here: OpenSide, there: OpenSide, packet: PacketRow) -> bool:
    """True if a SYN-ACK of `here` answers the SYN of this session, not one before it."""
    if row.syns:
        ahead = distance(packet.acknowledgment, row.syn_sequence)
        return ahead > 0 and distance(packet.acknowledgment, there.next) <= 0 and not _is_other(row, packet)
    if there.has_next and not _precedes(packet.acknowledgment, there):
        return False
    return not _is_other(row, packet) and not (
        here.has_next and not row.syn_acks and not _precedes(packet.sequence + 1, here)
    )


@loop
def _is_other(row: OpenSession, packet: PacketRow) -> bool:
    """True if a SYN-ACK is another one than that which the client acknowledged."""
    return row.syn_acks > 0 and row.ack_packet > 0 and packet.sequence != row.syn_ack_sequence


@loop
def _precedes(first: int, side: OpenSide) -> bool:
    """True if a stream that begins at `first` can be the one of a side whose SYN was not seen."""
    return 0 <= distance(side.base + WINDOW, first) < EARLY


@loop
def begins_anew(row: OpenSession, here: OpenSide, there: OpenSide, packet: PacketRow, side: int) -> bool:
    """True if a SYN or SYN-ACK of `here`, endpoint `side`, is of another connection than the one seen so far."""
    if packet.tcp_flags & ACK:
        return not row.syns and not row.syn_acks and not answers_syn(row, here, there, packet)
    if row.syns:
        return side == row.client_side and packet.sequence != row.syn_sequence
    if here.has_next:
        return not _precedes(packet.sequence + 1, here)
    return there.has_acked != 0 and not 0 <= distance(there.acked, packet.sequence + 1) < EARLY


@loop
def is_next(here: OpenSide, there: OpenSide, packet: PacketRow) -> bool:
    """True if a packet of `here`, not a SYN, begins where the side's numbers end, and acknowledges no unseen byte and
    nothing less than the packet before it: nearly all packets do, and those belong.
    """
    return (
        packet.sequence == here.next
        and here.has_next != 0
        and here.has_acked != 0
        and there.has_next != 0
        and distance(packet.acknowledgment, here.acked) >= 0
        and distance(packet.acknowledgment, there.next) <= 0
    )


@loop
def is_stray(row: OpenSession, here: OpenSide, there: OpenSide, packet: PacketRow) -> bool:
    """True if a packet that is no SYN does not belong; starts the numbers anew if too many in a row did not."""
    if is_next(here, there, packet) or belongs(row, here, there, packet):
        if here.strays:
            here.strays = 0
        return False
    here.strays = min(here.strays + 1, 255)
    if here.strays <= STRAYS or packet.tcp_flags & (SYN | RST) or not (here.goes_on or there.goes_on):
        return True
    here.strays = 0
    if here.has_next and not _is_near(packet.sequence, here):
        start_at(here, np.int64(packet.sequence), False)
    if packet.tcp_flags & ACK:
        if there.has_next and not _is_near(packet.acknowledgment, there):
            start_at(there, np.int64(packet.acknowledgment), False)
        here.has_acked = 1
        here.acked = packet.acknowledgment
    return False


@loop
def _is_near(number: int, side: OpenSide) -> bool:
    return distance(number, side.base) >= 0 and distance(number, side.next) <= WINDOW


@loop
def start_at(here: OpenSide, number: int, by_syn: bool) -> None:
    """Make a number the first of a side, without holes and followed segments."""
    here.has_next = 1
    here.next = number
    here.known = number
    here.base = number if by_syn else (number - WINDOW) & 0xFFFFFFFF
    here.recovering = here.holes = here.forgot = here.counting = 0
    here.flight_first += here.flight
    here.flight = 0


@loop
def keep_base_near(here: OpenSide) -> None:
    """Move the lower end of the window along, so that it stays within half of the circle."""
    if distance(here.next, here.base) > 2 * WINDOW:
        here.base = (np.int64(here.next) - WINDOW) & 0xFFFFFFFF
