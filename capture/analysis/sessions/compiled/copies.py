"""Packets that look the same -> copies that the capture made, or packets that were sent again.

SPAN ports, `-i any` and merged files show a packet several times. A copy is the same IP packet: all fields that a
sender chooses are equal, the IP identification among them. That alone proves nothing, because some senders use an
identification again when they repeat a segment, and many packets have none (IPv6; IPv4 without fragmentation, RFC
6864). Time decides: all copies of a packet pass within its way through the network, and a sender needs at least a
round trip to learn that it has to repeat one. So a packet that is seen again sooner than a round trip is a copy.

While no round trip is known, SOON_NS stands for it; with an identification it is the least, because round trips on
one machine are shorter than the time in which a bridge shows a packet at all its ports.
"""

import numpy as np

from capture.analysis.packets.packet_table import PacketRow
from capture.analysis.sessions.open_table import OpenSide
from capture.arrays.jit import borrowing_loop as loop

SOON_NS = 3_000_000
"""Time in which no sender repeats a packet, ns: the shortest timeouts are longer; Wireshark's for reordering."""


@loop
def path_ns(here: OpenSide, there: OpenSide) -> int:
    """Return the least round trip of the whole path that was measured, ns; SOON_NS if it is not known."""
    if here.rtt_least_ns == 0 or there.rtt_least_ns == 0:
        return SOON_NS
    return here.rtt_least_ns + there.rtt_least_ns


@loop
def is_copy(here: OpenSide, there: OpenSide, identification: int, apart_ns: int) -> bool:
    """True if two packets that are the same, `apart_ns` from each other, are one packet."""
    limit = path_ns(here, there)
    if identification:
        limit = max(limit, SOON_NS)
    return abs(apart_ns) < limit


@loop
def repeats_syn(here: OpenSide, there: OpenSide, packet: PacketRow) -> bool:
    """True if a SYN or SYN-ACK is a copy of the last one of its side; keeps the packet for the next one."""
    same = (
        here.syn_ns != 0
        and here.syn_sequence == packet.sequence
        and here.syn_identification == packet.identification
        and is_copy(here, there, np.int64(packet.identification), packet.time_ns - here.syn_ns)
    )
    if not same:
        here.syn_ns, here.syn_sequence = packet.time_ns, packet.sequence
        here.syn_identification = packet.identification
    return same


@loop
def repeats_last(here: OpenSide, there: OpenSide, packet: PacketRow, occupies: int) -> bool:
    """True if a TCP packet is a copy of the one that this side sent before it; keeps the packet for the next one.

    Without an identification, only packets that occupy numbers: empty acknowledgments may rightly be the same.
    """
    same = (
        here.last_sequence == packet.sequence
        and here.last_identification == packet.identification
        and here.last_acknowledgment == packet.acknowledgment
        and here.last_shape == _shape(packet)
        and (packet.identification != 0 or occupies > 0)
        and is_copy(here, there, np.int64(packet.identification), packet.time_ns - here.last_ns)
    )
    if not same:
        keep_last(here, packet)
    return same


@loop
def keep_last(here: OpenSide, packet: PacketRow) -> None:
    """Keep the fields of a side's last packet by which a copy of it is recognised."""
    here.last_ns = packet.time_ns
    here.last_sequence = packet.sequence
    here.last_identification = packet.identification
    here.last_acknowledgment = packet.acknowledgment
    here.last_shape = _shape(packet)


@loop
def _shape(packet: PacketRow) -> int:
    return np.int64(packet.payload) << 16 | np.int64(packet.tcp_flags)
