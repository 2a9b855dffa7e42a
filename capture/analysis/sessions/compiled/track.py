"""Decoded packets -> rows of open sessions: finds or begins the session of each packet, and counts the packet in it.

TCP is handled in `tcp`, DNS and ICMP echo in `questions`. An ICMP error counts in a session of its own, and is
evidence in the session of the packet that it quotes. Later fragments belong to the session of their first one.
"""

import numpy as np

from capture.analysis.packets.packet_table import Kind, PacketRow
from capture.analysis.sessions.compiled import tcp
from capture.analysis.sessions.compiled.closing import close, ended, silent_limit
from capture.analysis.sessions.compiled.icmp_errors import error_about
from capture.analysis.sessions.compiled.lookup import find, hash_of, insert, swapped
from capture.analysis.sessions.compiled.marks import NO_COUNTS, counts, marks
from capture.analysis.sessions.compiled.questions import dns, echo
from capture.analysis.sessions.compiled.windows import begins_anew
from capture.analysis.sessions.open_table import Tables
from capture.analysis.sessions.session_table import Close, Measure, Role
from capture.arrays.aliases import Bytes, Longs
from capture.arrays.compiled.hashing import mix
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.wire.protocols import ACK, ICMP, ICMPV6, SCTP, SYN, TCP, UDP

SAMPLES_EACH = 8
"""Samples that one packet adds at most."""

_FIRST, _LATER, _CUT, _ERROR = (
    int(kind) for kind in (Kind.FIRST_FRAGMENT, Kind.LATER_FRAGMENT, Kind.CUT, Kind.ICMP_ERROR)
)
_IDLE, _REUSED, _NOT_ENDED = int(Close.IDLE), int(Close.REUSED), int(Close.OPEN)
_ASKED, _PORTS, _FIRST_SEEN = int(Role.ASKED), int(Role.PORTS), int(Role.FIRST)
_DNS, _ECHO, _SERVER = int(Measure.DNS), int(Measure.ECHO), 1
_WITH_PORTS = (TCP, UDP, SCTP, 136, ICMP, ICMPV6)
"""Protocols with ports, 136 is UDP-Lite, or with an identifier in their place."""
_DNS_PORT, _EPHEMERAL = 53, 32768


@loop
def track(
    data: Bytes, packets: Rows[PacketRow], start: int, tables: Tables, idle: Longs, scratch: Rows[PacketRow]
) -> int:
    """Handle packets from `start` on. Return where to continue once room was made; len(packets) at the end."""
    state = tables.state[0]
    for i in range(start, len(packets)):
        if (
            state.free_rows == 0
            or state.free_blocks == 0
            or state.done + 2 > len(tables.done)
            or state.samples + SAMPLES_EACH > len(tables.samples)
        ):
            return i
        packet = packets[i]
        if packet.time_ns < state.newest_ns:
            state.disordered += 1
        else:
            state.newest_ns = packet.time_ns
        if packet.family == 0:
            state.no_ip += 1
            continue
        if packet.kind & (_FIRST | _LATER):
            _fragment(tables, packet)
        if packet.kind & (_LATER | _CUT) and _lacks_ports(packet):
            state.no_ports += 1
            continue
        interface = np.int64(packet.interface) if state.by_interface else np.int64(0)
        hashed = hash_of(packet, interface, state.seed)
        number = find(tables, packet, hashed, interface)
        if number >= 0:
            why = _is_over(tables, number, packet, idle)
            if why != _NOT_ENDED:
                close(tables, number, why)
                number = -1
        if number < 0:
            number = _begin(tables, packet, hashed, interface)
        row = tables.rows[number]
        packet.session = row.session
        side = 1 if swapped(packet) else 0
        if packet.vlan:
            row.vlan = row.vlan if row.vlan else packet.vlan
            if side:
                row.high_vlan = packet.vlan
            else:
                row.low_vlan = packet.vlan
        if row.role != _ASKED and packet.tcp_flags & SYN and packet.protocol == TCP:
            row.client_side = side if not packet.tcp_flags & ACK else 1 - side  # a SYN behind later packets
            row.role = _ASKED
        if packet.source_port == packet.destination_port and _same_address(packet):
            side = row.client_side  # from a socket to itself
        packet.side = side != row.client_side
        here = tables.sides[number, side]
        row.last_ns = max(row.last_ns, packet.time_ns)
        row.first_ns = min(row.first_ns, packet.time_ns)
        row.last_packet = max(row.last_packet, packet.number)
        here.packets += 1
        here.bytes += packet.original
        if packet.kind & (_LATER | _CUT):
            continue
        there = tables.sides[number, 1 - side]
        plain = packet.protocol == TCP and tcp.is_plain(here, there, packet)
        before = NO_COUNTS if plain else counts(row, here, there)
        if packet.protocol == TCP:
            tcp.update(tables, number, packet, side, plain)
            here.payload += packet.payload
        elif packet.protocol == UDP:
            here.payload += packet.payload
            if packet.source_port == _DNS_PORT or packet.destination_port == _DNS_PORT:
                dns(data, tables, number, packet, side)
        elif packet.kind & _ERROR:
            error_about(data, tables, packet, interface, scratch[0])
        elif packet.protocol == ICMP or packet.protocol == ICMPV6:
            echo(tables, number, packet, side)
        packet.marks = 0 if plain else marks(before, counts(row, here, there))
    return len(packets)


@loop
def _lacks_ports(packet: PacketRow) -> bool:
    """True if a packet whose header is not in the file belongs to a session that only its ports would show."""
    return packet.source_port == 0 and packet.destination_port == 0 and packet.protocol in _WITH_PORTS


@loop
def _same_address(packet: PacketRow) -> bool:
    return packet.source_low == packet.destination_low and packet.source_high == packet.destination_high


@loop
def _fragment(tables: Tables, packet: PacketRow) -> None:
    """Keep the ports of a first fragment, or copy them into a later fragment of the same packet."""
    key = mix(mix(packet.source_high, packet.source_low), mix(packet.destination_high, packet.destination_low))
    key = mix(mix(key, np.int64(packet.identification)), np.int64(packet.protocol)) | 1
    row = tables.fragments[key & (len(tables.fragments) - 1)]
    if packet.kind & _FIRST:
        row.key = key
        row.ports = np.int64(packet.source_port) << 16 | np.int64(packet.destination_port)
    elif row.key == key:
        packet.source_port = row.ports >> 16
        packet.destination_port = row.ports & 0xFFFF


@loop
def _is_over(tables: Tables, number: int, packet: PacketRow, idle: Longs) -> int:
    """Return why the packet begins a new session of the same tuple; OPEN if it does not."""
    row = tables.rows[number]
    if packet.protocol == TCP and packet.tcp_flags & SYN and not packet.kind & (_LATER | _CUT):
        side = 1 if swapped(packet) else 0
        if begins_anew(row, tables.sides[number, side], tables.sides[number, 1 - side], packet, side):
            return _REUSED
        from_server = row.syns and side != row.client_side and not packet.tcp_flags & ACK
        if from_server and ended(tables, number) != _NOT_ENDED:
            return _REUSED
    if packet.time_ns - row.last_ns > silent_limit(tables, number, idle):
        return _IDLE
    return _NOT_ENDED


@loop
def _begin(tables: Tables, packet: PacketRow, hashed: int, interface: int) -> int:
    """Fill a row for a session by its first packet. Return its number."""
    state = tables.state[0]
    state.free_rows -= 1
    number = tables.free_rows[state.free_rows]
    state.sessions += 1
    state.open += 1
    state.used = max(state.used, number + 1)
    row = tables.rows[number]  # all zero: see Tracker
    turned = swapped(packet)
    if turned:
        row.low_high, row.low_low, row.low_port = (
            packet.destination_high,
            packet.destination_low,
            packet.destination_port,
        )
        row.high_high, row.high_low, row.high_port = packet.source_high, packet.source_low, packet.source_port
    else:
        row.low_high, row.low_low, row.low_port = packet.source_high, packet.source_low, packet.source_port
        row.high_high, row.high_low, row.high_port = (
            packet.destination_high,
            packet.destination_low,
            packet.destination_port,
        )
    row.family = packet.family
    row.protocol = packet.protocol
    row.interface = interface
    row.hash = hashed
    row.session = state.sessions
    row.first_ns = row.last_ns = packet.time_ns
    row.first_packet = packet.number
    row.block = -1
    row.server_ns = -1
    row.client_ns = -1
    by_client, role = _role_of_sender(packet)
    row.role = role
    row.client_side = turned if by_client else not turned
    row.live = 1
    insert(tables.slots, hashed, number)
    return number


@loop
def _role_of_sender(packet: PacketRow) -> tuple[bool, int]:
    """Return True if the sender of a session's first packet is its client, and the Role: how that is known."""
    if packet.protocol == TCP and packet.tcp_flags & SYN:
        return not packet.tcp_flags & ACK, _ASKED
    if packet.protocol == ICMP and (packet.icmp_type == 8 or packet.icmp_type == 0):
        return packet.icmp_type == 8, _ASKED
    if packet.protocol == ICMPV6 and (packet.icmp_type == 128 or packet.icmp_type == 129):
        return packet.icmp_type == 128, _ASKED
    if packet.source_port >= _EPHEMERAL and packet.destination_port < _EPHEMERAL:
        return True, _PORTS
    if packet.source_port < _EPHEMERAL and packet.destination_port >= _EPHEMERAL:
        return False, _PORTS
    return True, _FIRST_SEEN
