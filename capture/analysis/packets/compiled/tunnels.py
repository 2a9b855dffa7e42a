"""A decoded packet that carries another -> the columns of the inner one: VXLAN, Geneve, GRE, ERSPAN, GTP-U, IP in IP.

VXLAN, Geneve, GRE and IP in IP are recognised by the rules of bpf/lib/inner.h, which opens one tunnel; here up to
three may be nested, and what lies between link and network layer is opened inside them, too.
"""

import numpy as np

from capture.analysis.packets.compiled.decode import decode_ip
from capture.analysis.packets.compiled.link_layer import behind_type, link_layer
from capture.analysis.packets.packet_table import Kind, PacketRow
from capture.arrays.aliases import Bytes
from capture.arrays.compiled.byte_numbers import net16
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.wire.link_types import ETHERNET
from capture.wire.protocols import UDP

_CLOSED = int(Kind.CUT | Kind.FIRST_FRAGMENT | Kind.LATER_FRAGMENT)
_IP, _IPV6 = 0x0800, 0x86DD
_ETHERNET_INSIDE = 0x6558  # transparent Ethernet bridging
_IPIP, _IPV6_IN_IP, _GRE = 4, 41, 47
_VXLAN, _VXLAN_LINUX, _GENEVE, _GTP_U = 4789, 8472, 6081, 2152
"""UDP ports. Linux's default for VXLAN is older than that of RFC 7348."""
_VNI_VALID = 0x08
_ERSPAN, _ERSPAN_3 = 0x88BE, 0x22EB
"""Protocols in GRE: ERSPAN I and II, which has a sequence number, and III (draft-foschiano-erspan)."""
_G_PDU, _GTP_MORE, _GTP_EXTENDED = 255, 7, 4
"""Message type of a user's packet; flags for the second header, and for extension headers (3GPP TS 29.281)."""
_GRE_CHECKSUM, _GRE_KEY, _GRE_SEQUENCE = 0x80, 0x20, 0x10
_NESTED = 3
"""Tunnels in one another that are opened at most."""


@loop
def unwrap(data: Bytes, packets: Rows[PacketRow]) -> None:
    """Replace the columns of a packet that carries another by those of the inner packet, if that is IP."""
    for i in range(len(packets)):
        row = packets[i]
        for _ in range(_NESTED):
            if row.family == 0 or row.kind & _CLOSED:
                break
            start, carried = row.offset, row.offset + row.payload_at
            end, wire_end = start + row.captured, carried + row.payload
            at, kind = _inner(data, carried, end, row)
            if kind == _ETHERNET_INSIDE:
                at, kind = link_layer(data, at, end, ETHERNET)
            elif kind:
                at, kind = behind_type(data, at, end, kind)
            if kind != _IP and kind != _IPV6:
                break
            decode_ip(data, at, end, wire_end, kind, start, row)


@loop
def _inner(data: Bytes, at: int, end: int, row: PacketRow) -> tuple[int, int]:
    """Return (index, EtherType) of the packet in the payload at data[at:end]; the EtherType is 0 for none."""
    if row.protocol == _IPIP:
        return at, _IP
    if row.protocol == _IPV6_IN_IP:
        return at, _IPV6
    if row.protocol == _GRE and at + 4 <= end:  # RFC 2784, RFC 2890; version 1 is PPTP's
        flags = np.int64(data[at])
        words = 1 + (flags & _GRE_CHECKSUM > 0) + (flags & _GRE_KEY > 0) + (flags & _GRE_SEQUENCE > 0)
        if data[at + 1] & 7:
            return at, 0
        kind = net16(data, at + 2)
        at += 4 * words
        if kind == _ERSPAN:
            return at + (8 if flags & _GRE_SEQUENCE else 0), _ETHERNET_INSIDE
        if kind == _ERSPAN_3 and at + 12 <= end:
            return at + (20 if data[at + 11] & 1 else 12), _ETHERNET_INSIDE
        return at, kind
    if row.protocol == UDP and at + 8 <= end:
        if row.destination_port == _VXLAN or row.destination_port == _VXLAN_LINUX:
            return at + 8, _ETHERNET_INSIDE if data[at] & _VNI_VALID else 0
        if row.destination_port == _GENEVE and data[at] >> 6 == 0:  # RFC 8926, version 0
            return at + 8 + (np.int64(data[at]) & 0x3F) * 4, net16(data, at + 2)
        if row.destination_port == _GTP_U and data[at] >> 4 == 3 and data[at + 1] == _G_PDU:
            return _in_gtp(data, at, end)
    return at, 0


@loop
def _in_gtp(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return (index, EtherType) of the packet behind a GTP-U header and its extension headers."""
    flags = data[at]
    at += 8
    if flags & _GTP_MORE:
        at += 4
        if at > end:
            return at, _IP
        following = np.int64(data[at - 1]) if flags & _GTP_EXTENDED else 0
        while following:
            if at >= end or (data[at] and at + 4 * np.int64(data[at]) > end):
                return at, _IP
            if data[at] == 0:
                return at, 0
            at += 4 * np.int64(data[at])
            following = np.int64(data[at - 1])
    if at >= end:
        return at, _IP  # so that the packet is known to be cut
    version = data[at] >> 4
    return at, _IP if version == 4 else (_IPV6 if version == 6 else 0)
