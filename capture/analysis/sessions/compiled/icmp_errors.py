"""ICMP errors -> evidence in the session of the packet that they quote (RFC 792, RFC 4443)."""

from capture.analysis.packets.compiled.decode import decode_ip
from capture.analysis.packets.packet_table import PacketRow
from capture.analysis.sessions.compiled.lookup import find, hash_of
from capture.analysis.sessions.open_table import Tables
from capture.arrays.aliases import Bytes
from capture.arrays.jit import borrowing_loop as loop
from capture.wire.protocols import ICMP


@loop
def _is_final(protocol: int, kind: int, code: int) -> bool:
    """True if an error means that packets do not arrive at all, not that they are too big or should be redirected."""
    if protocol == ICMP:
        return (kind == 3 and code != 4) or kind == 11 or kind == 12
    return kind == 1 or kind == 3 or kind == 4


@loop
def error_about(data: Bytes, tables: Tables, packet: PacketRow, interface: int, about: PacketRow) -> None:
    """Write an ICMP error into the session of the packet that it quotes; `about` is scratch for that packet."""
    at, end = packet.offset + packet.payload_at, packet.offset + packet.captured
    about.interface = packet.interface
    decode_ip(data, at, end, end, 0x0800 if packet.family == 4 else 0x86DD, packet.offset, about)
    if about.family == 0:
        return
    hashed = hash_of(about, interface, tables.state[0].seed)
    about.vlan = packet.vlan
    number = find(tables, about, hashed, interface)
    if number < 0:  # the error came from another VLAN
        about.vlan = 0
        number = find(tables, about, hashed, interface)
    if number < 0:
        return
    row = tables.rows[number]
    final = _is_final(packet.protocol, packet.icmp_type, packet.icmp_code)
    if row.icmp_packet and not (final and not _is_final(packet.protocol, row.icmp_type, row.icmp_code)):
        return
    row.icmp_packet = packet.number
    row.icmp_type = packet.icmp_type
    row.icmp_code = packet.icmp_code
    row.icmp_high = packet.source_high
    row.icmp_low = packet.source_low
