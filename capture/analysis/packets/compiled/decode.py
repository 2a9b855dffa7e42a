"""A packet's bytes -> the columns of a row: link layer, VLANs, IPv4, IPv6 with its extension headers, TCP, UDP, ICMP.

One compiled loop. Only captured bytes are read, but lengths are those on the wire, so a cut packet counts in full. If
the IP length is 0 (segmentation offload, BIG TCP), the length of the frame is used.
"""

import numpy as np

from capture.analysis.packets.compiled.link_layer import link_layer, vlan_of
from capture.analysis.packets.packet_table import Kind, PacketRow
from capture.arrays.aliases import Bytes, Longs
from capture.arrays.compiled.byte_numbers import net16, net32, net64
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.wire.link_types import ETHERNET
from capture.wire.protocols import ICMP, ICMPV6, SCTP, TCP, UDP

_TIMESTAMPS, _FIRST, _LATER, _CUT, _ERROR = (
    int(kind) for kind in (Kind.TIMESTAMPS, Kind.FIRST_FRAGMENT, Kind.LATER_FRAGMENT, Kind.CUT, Kind.ICMP_ERROR)
)
_UDPLITE = 136


@loop
def decode_ip(data: Bytes, at: int, end: int, wire_end: int, kind: int, start: int, row: PacketRow) -> None:
    """Decode IP and above at data[at:end] into the row; the packet begins at `start`, its wire end is `wire_end`."""
    row.family = row.protocol = row.kind = row.hops = row.icmp_type = row.icmp_code = 0
    row.source_high = row.source_low = row.destination_high = row.destination_low = 0
    row.source_port = row.destination_port = row.tcp_flags = row.window = 0
    row.sequence = row.acknowledgment = row.tsval = row.tsecr = row.identification = row.payload = 0
    row.payload_at = min(at, end) - start
    found = np.int64(0)
    if kind == 0x0800:
        if at + 20 > end or data[at] >> 4 != 4:
            row.kind = _CUT
            return
        header = (np.int64(data[at]) & 15) * 4
        if header < 20:
            row.kind = _CUT
            return
        length = net16(data, at + 2)
        if length >= header:
            wire_end = min(wire_end, at + length)
        fragment = net16(data, at + 6)
        if fragment & 0x1FFF:
            found |= _LATER
        elif fragment & 0x2000:
            found |= _FIRST
        row.family = 4
        row.identification = net16(data, at + 4)
        row.hops = data[at + 8]
        protocol = np.int64(data[at + 9])
        row.source_low = net32(data, at + 12)
        row.destination_low = net32(data, at + 16)
        at += header
    elif kind == 0x86DD:
        if at + 40 > end or data[at] >> 4 != 6:
            row.kind = _CUT
            return
        length = net16(data, at + 4)
        if length:
            wire_end = min(wire_end, at + 40 + length)
        row.family = 6
        row.hops = data[at + 7]
        protocol = np.int64(data[at + 6])
        row.source_high = net64(data, at + 8)
        row.source_low = net64(data, at + 16)
        row.destination_high = net64(data, at + 24)
        row.destination_low = net64(data, at + 32)
        at += 40
        while protocol in (0, 43, 60, 135, 139, 140, 44, 51):
            if at + 8 > end:
                found |= _CUT
                break
            following = np.int64(data[at])
            if protocol == 44:
                fragment = net16(data, at + 2)
                row.identification = net32(data, at + 4)
                if fragment >> 3:
                    found |= _LATER
                elif fragment & 1:
                    found |= _FIRST
                at += 8
            elif protocol == 51:
                at += (np.int64(data[at + 1]) + 2) * 4
            else:
                if protocol == 43:
                    _final_destination(data, at, end, row)
                at += (np.int64(data[at + 1]) + 1) * 8
            protocol = following
            if found & _LATER:
                break
    else:
        return
    row.protocol = protocol
    behind = at
    if not found & _LATER and not found & _CUT:
        if at + 4 <= end and protocol in (TCP, UDP, SCTP, _UDPLITE):  # of a cut header, too
            row.source_port = net16(data, at)
            row.destination_port = net16(data, at + 2)
        if protocol == TCP:
            if at + 20 <= end:
                behind = at + (np.int64(data[at + 12]) >> 4) * 4
                if behind < at + 20:
                    found |= _CUT
                    behind = at + 20
                row.sequence = net32(data, at + 4)
                row.acknowledgment = net32(data, at + 8)
                row.tcp_flags = net16(data, at + 12) & 0xFFF
                row.window = net16(data, at + 14)
                found |= _options(data, at + 20, min(behind, end), row)
            else:
                found |= _CUT
        elif protocol in (UDP, SCTP, _UDPLITE):
            if at + 8 <= end:
                behind = at + (12 if protocol == SCTP else 8)
            else:
                found |= _CUT
        elif protocol in (ICMP, ICMPV6):
            if at + 8 <= end:
                behind = at + 8
                row.icmp_type = data[at]
                row.icmp_code = data[at + 1]
                if _is_error(protocol, data[at]):
                    found |= _ERROR
                elif _is_query(protocol, data[at]):  # the identifier, on both sides
                    row.source_port = net16(data, at + 4)
                    row.destination_port = row.source_port
                    row.sequence = net16(data, at + 6)
            else:
                found |= _CUT
    row.kind = found
    row.payload_at = min(behind, end) - start
    row.payload = max(wire_end - behind, 0)


@loop
def _final_destination(data: Bytes, at: int, end: int, row: PacketRow) -> None:
    """Make the last address of a routing header at data[at] the destination, if it is not reached yet.

    Answers come from there. RFC 2460 has the last address at the end of type 0, RFC 8754 at the beginning of a
    segment list (type 4); RFC 6275 has one address (type 2).
    """
    kind, segments_left, addresses = data[at + 2], data[at + 3], np.int64(data[at + 1]) // 2
    if segments_left == 0 or addresses == 0 or not (kind == 0 or kind == 2 or kind == 4):
        return
    last = at + 8 + (16 * (addresses - 1) if kind == 0 else 0)
    if last + 16 <= end:
        row.destination_high = net64(data, last)
        row.destination_low = net64(data, last + 8)


@loop
def _options(data: Bytes, at: int, end: int, row: PacketRow) -> int:
    """Return Kind.TIMESTAMPS, after writing its values into the row, if there is that option; else 0."""
    length = option_length(data, at, end)
    while length:
        if length == 10 and data[at] == 8:
            row.tsval = net32(data, at + 2)
            row.tsecr = net32(data, at + 6)
            return _TIMESTAMPS
        at += length
        length = option_length(data, at, end)
    return 0


@loop
def option_length(data: Bytes, at: int, end: int) -> int:
    """Return the bytes of the TCP option at data[at]; 0 if there is none that is whole."""
    if at >= end or data[at] == 0:
        return 0
    if data[at] == 1:
        return 1
    length = np.int64(data[at + 1]) if at + 1 < end else 0
    return length if length >= 2 and at + length <= end else 0


@loop
def _is_error(protocol: int, kind: int) -> bool:
    """True for ICMP errors.

    RFC 792: unreachable, source quench, redirect, time exceeded, parameter problem. RFC 4443: types 1 to 4.
    """
    if protocol == ICMP:
        return kind == 3 or kind == 4 or kind == 5 or kind == 11 or kind == 12
    return 1 <= kind <= 4


@loop
def _is_query(protocol: int, kind: int) -> bool:
    """True for messages that have an identifier: echo, timestamp, information and mask."""
    if protocol == ICMP:
        return kind == 0 or kind == 8 or 13 <= kind <= 18
    return kind == 128 or kind == 129


@loop
def decode(data: Bytes, links: Longs, packets: Rows[PacketRow], first_number: int) -> None:
    """Fill the other columns of rows that have offset and lengths. `links` [interface]: link types."""
    for i in range(len(packets)):
        row = packets[i]
        row.number = first_number + i
        row.session = 0
        row.side = 0
        row.marks = 0
        start = row.offset
        end = start + row.captured
        at, kind = link_layer(data, start, end, links[row.interface])
        tagged = at > start + 14 and links[row.interface] == ETHERNET
        row.vlan = vlan_of(data, start, min(at, end)) if tagged else 0
        decode_ip(data, at, end, start + row.original, kind, start, row)
