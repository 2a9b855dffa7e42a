"""A decoded packet -> two fingerprints: equal at all points that it passes, different for different packets.

`strict` covers addresses, ports and all other fields that routers do not change; `loose` leaves out addresses, ports
and the fields that a translator (DNAT, SNAT) changes with them. Neither covers the TTL, ECN bits or checksums.
"""

import numpy as np

from capture.analysis.packets.packet_table import Kind, PacketRow
from capture.arrays.aliases import Bytes, Longs
from capture.arrays.compiled.hashing import mix
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.wire.protocols import ICMP, ICMPV6, TCP

_CUT, _LATER, _FRAGMENT, _ERROR = (
    int(Kind.CUT),
    int(Kind.LATER_FRAGMENT),
    int(Kind.FIRST_FRAGMENT | Kind.LATER_FRAGMENT),
    int(Kind.ICMP_ERROR),
)
_CONTENT = 32
"""Bytes of payload in the fingerprint of packets without sequence numbers; all points must have captured them."""


@loop
def fingerprints(data: Bytes, packets: Rows[PacketRow], seed: int, strict: Longs, loose: Longs) -> None:
    """Write both fingerprints of each packet; 0 if it is not IP, cut short, or to a group, which has many routes."""
    for i in range(len(packets)):
        row = packets[i]
        strict[i] = loose[i] = 0
        if row.family == 0 or row.kind & _CUT or _to_group(row):
            continue
        found = mix(seed, np.int64(row.family) << 32 | np.int64(row.protocol))
        found = mix(found, np.int64(row.kind & _FRAGMENT) << 32 | np.int64(row.payload))
        if row.family == 4 or row.kind & _FRAGMENT:
            found = mix(found, np.int64(row.identification))
        if row.protocol == TCP and not row.kind & _LATER:
            found = mix(found, np.int64(row.sequence) << 32 | np.int64(row.acknowledgment))
            found = mix(found, np.int64(row.tsval) << 32 | np.int64(row.tsecr))
            found = mix(found, np.int64(row.tcp_flags) << 32 | np.int64(row.window))
        elif row.protocol == ICMP or row.protocol == ICMPV6:
            found = mix(found, np.int64(row.icmp_type) << 32 | np.int64(row.icmp_code) << 16 | np.int64(row.sequence))
            if not row.kind & _ERROR:  # translators change the packet that an error quotes
                found = _content(data, row, found)
        else:
            found = _content(data, row, found)
        loose[i] = found
        found = mix(mix(found, row.source_high), row.source_low)
        found = mix(mix(found, row.destination_high), row.destination_low)
        strict[i] = mix(found, np.int64(row.source_port) << 16 | np.int64(row.destination_port))


@loop
def _to_group(row: PacketRow) -> bool:
    """True for a multicast destination (RFC 5771, RFC 4291) and 255.255.255.255."""
    if row.family == 4:
        return row.destination_low >> 28 == 0xE or row.destination_low == 0xFFFFFFFF
    return row.destination_high >> 56 & 0xFF == 0xFF


@loop
def hosts(packets: Rows[PacketRow], seed: int, found: Longs) -> None:
    """Write a number of 0 and more for client address, server address and server port of each tracked packet."""
    for i in range(len(packets)):
        row = packets[i]
        port = np.int64(row.destination_port if row.side == 0 else row.source_port)
        source = mix(mix(seed, row.source_high), row.source_low)
        destination = mix(mix(seed, row.destination_high), row.destination_low)
        ends = mix(source, destination) if row.side == 0 else mix(destination, source)
        found[i] = mix(ends, np.int64(row.protocol) << 16 | port) & 0x7FFFFFFFFFFFFFFF


@loop
def _content(data: Bytes, row: PacketRow, found: int) -> int:
    at = row.offset + row.payload_at
    size = min(np.int64(row.payload), np.int64(row.captured) - np.int64(row.payload_at), np.int64(_CONTENT))
    for k in range(at, at + size):
        found = mix(found, np.int64(data[k]))
    return found
