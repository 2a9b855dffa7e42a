"""A decoded packet that carries another -> the columns of the inner packet: VXLAN, Geneve, GRE and IP in IP.

Tunnels are recognised by the rules of bpf/lib/inner.h, which opens one tunnel; here up to three may be nested.
"""

import numpy as np

from capture.analysis.packets.compiled.decode import decode_ip
from capture.analysis.packets.compiled.link_layer import link_layer, net16
from capture.analysis.packets.packet_table import Kind, PacketRow
from capture.arrays.aliases import Bytes
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.wire.link_types import ETHERNET
from capture.wire.protocols import UDP

_CLOSED = int(Kind.CUT | Kind.FIRST_FRAGMENT | Kind.LATER_FRAGMENT)
_IP, _IPV6 = 0x0800, 0x86DD
_ETHERNET_INSIDE = 0x6558  # transparent Ethernet bridging
_IPIP, _IPV6_IN_IP, _GRE = 4, 41, 47
_VXLAN, _VXLAN_LINUX, _GENEVE = 4789, 8472, 6081
"""UDP ports. Linux's default for VXLAN is older than that of RFC 7348."""
_VNI_VALID = 0x08
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
        return at + 4 * words, net16(data, at + 2) if data[at + 1] & 7 == 0 else 0
    if row.protocol == UDP and at + 8 <= end:
        if row.destination_port == _VXLAN or row.destination_port == _VXLAN_LINUX:
            return at + 8, _ETHERNET_INSIDE if data[at] & _VNI_VALID else 0
        if row.destination_port == _GENEVE and data[at] >> 6 == 0:  # RFC 8926, version 0
            return at + 8 + (np.int64(data[at]) & 0x3F) * 4, net16(data, at + 2)
    return at, 0
