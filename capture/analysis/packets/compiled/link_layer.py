"""A frame -> where its network layer begins, and its EtherType, through what lies between.

Link layers: Ethernet, Linux cooked, PPP, Cisco HDLC, NFLOG, loopback, raw. Between: VLAN tags, 802.1ah, LLC and SNAP,
PPPoE, MPLS. All of these are always opened; tunnels over IP only where that is asked for (`tunnels`).
"""

import numpy as np

from capture.arrays.aliases import Bytes
from capture.arrays.compiled.byte_numbers import net16
from capture.arrays.jit import borrowing_loop as loop
from capture.wire.link_types import (
    C_HDLC,
    ETHERNET,
    IPV4,
    IPV6,
    LINUX_SLL,
    LINUX_SLL2,
    LOOP,
    NFLOG,
    NULL,
    PPP,
    PPP_ETHER,
    PPP_HDLC,
    PPP_WITH_DIR,
    RAW,
    RAW_BSD,
    RAW_OPENBSD,
)

IP, IPV6_TYPE = 0x0800, 0x86DD
"""EtherTypes of the two network layers."""
_PBB, _PPPOE, _MPLS, _MPLS_UPSTREAM = 0x88E7, 0x8864, 0x8847, 0x8848
_LENGTH_MAX = 1500
"""Largest value of Ethernet's type field that is a length; LLC follows (IEEE 802.3)."""
_LAYERS = 16
"""Layers between the link and the network layer that are followed at most."""
_PPP_IP, _PPP_IPV6, _PPP_MPLS = 0x0021, 0x0057, 0x0281
_SLL_LLC = 4
_NFLOG_PAYLOAD = 9


@loop
def link_layer(data: Bytes, at: int, end: int, link: int) -> tuple[int, int]:
    """Return (index of the first byte of the network layer, EtherType); the EtherType is 0 if unknown."""
    if link == ETHERNET:
        if at + 14 > end:
            return at + 14, 0
        kind = net16(data, at + 12)
        if kind in (IP, IPV6_TYPE):  # nearly always
            return at + 14, kind
        return behind_type(data, at + 14, end, kind)
    if link in (LINUX_SLL, LINUX_SLL2):
        header, field = (16, 14) if link == LINUX_SLL else (20, 0)
        if at + header > end:
            return at + header, 0
        kind = net16(data, at + field)
        return behind_type(data, at + header, end, 1 if kind == _SLL_LLC else kind)
    if link in (NULL, LOOP):  # an address family, whose number differs from system to system
        return _by_version(data, at + 4, end)
    if link in (RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6):
        return _by_version(data, at, end)
    if link in (PPP, PPP_HDLC, PPP_WITH_DIR):
        return _ppp(data, at + (link == PPP_WITH_DIR), end)
    if link == C_HDLC:
        return behind_type(data, at + 4, end, net16(data, at + 2)) if at + 4 <= end else (at, 0)
    if link == PPP_ETHER:
        return _ppp(data, at + 6, end)
    if link == NFLOG:
        return _nflog(data, at, end)
    return at, 0


@loop
def behind_type(data: Bytes, at: int, end: int, kind: int) -> tuple[int, int]:
    """Return the index and EtherType of the network layer, for data[at:end] that an EtherType or length announced."""
    for _ in range(_LAYERS):
        if kind in (IP, IPV6_TYPE):
            break
        if _is_tag(kind):
            following, header = at + 2, 4
        elif kind == _PBB:  # service identifier and the customer's addresses (IEEE 802.1ah)
            following, header = at + 16, 18
        elif kind <= _LENGTH_MAX:
            if at + 8 > end or data[at] != 0xAA or data[at + 1] != 0xAA or data[at + 2] != 3:
                if at + 3 <= end and data[at] == 6 and data[at + 1] == 6 and data[at + 2] == 3:  # the SAP of IP
                    return at + 3, IP
                return at, 0
            following, header = at + 6, 8  # SNAP (RFC 1042)
        elif kind == _PPPOE:
            return _ppp(data, at + 6, end)
        elif kind in (_MPLS, _MPLS_UPSTREAM):
            return _mpls(data, at, end)
        else:
            break
        if following + 2 > end:
            return following, 0
        kind = net16(data, following)
        at += header
    return at, kind


@loop
def vlan_of(data: Bytes, start: int, network: int) -> int:
    """Return the VLAN of an Ethernet frame whose network layer begins at `network`; see PacketRow.vlan."""
    vlan, at = np.int64(0), start + 12
    for tag in range(2):
        if at + 4 > network:
            break
        kind = net16(data, at)
        if not _is_tag(kind):
            break
        identifier = net16(data, at + 2) & 0xFFF
        vlan = identifier if tag == 0 else vlan << 12 | identifier
        at += 4
    return vlan


@loop
def _is_tag(kind: int) -> bool:
    """True for the EtherTypes of VLAN tags: IEEE 802.1Q, 802.1ad, and two older ones for the outer tag."""
    return kind == 0x8100 or kind == 0x88A8 or kind == 0x9100 or kind == 0x9200


@loop
def _by_version(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return the EtherType by the version of the IP header at data[at]."""
    if at >= end:
        return at, 0
    version = data[at] >> 4
    return at, IP if version == 4 else (IPV6_TYPE if version == 6 else 0)


@loop
def _mpls(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return what lies behind a stack of labels (RFC 3032); a label does not say what it carries, the version does.

    What was cut off counts as IP, so that the packet is known to be cut.
    """
    for _ in range(_LAYERS):
        if at + 4 > end:
            return at, IP
        at += 4
        if data[at - 2] & 1:
            return _by_version(data, at, end) if at < end else (at, IP)
    return at, 0


@loop
def _ppp(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return what lies behind a PPP header, of which parts may have been left out (RFC 1661, RFC 1662).

    It must not call behind_type, which calls it: loops that call each other crash when numba loads them from the
    cache.
    """
    if at + 2 <= end and data[at] == 0xFF and data[at + 1] == 3:
        at += 2
    elif at + 4 <= end and (data[at] == 0x0F or data[at] == 0x8F) and data[at + 1] == 0:  # Cisco's HDLC instead
        return at + 4, net16(data, at + 2)
    if at + 2 > end:
        return at, 0
    protocol = np.int64(data[at])
    if protocol & 1:
        at += 1
    else:
        protocol = net16(data, at)
        at += 2
    if protocol == _PPP_MPLS:
        return _mpls(data, at, end)
    return at, IP if protocol == _PPP_IP else (IPV6_TYPE if protocol == _PPP_IPV6 else 0)


@loop
def _nflog(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return the packet among the attributes of an NFLOG record, which are in the byte order of its machine."""
    at += 4
    for _ in range(_LAYERS):
        if at + 4 > end:
            break
        size = np.int64(data[at + 1]) << 8 | data[at]
        kind = np.int64(data[at + 3]) << 8 | data[at + 2]
        if size < 4 or at + size > end:
            size, kind = net16(data, at), net16(data, at + 2)
        if kind & 0x7FFF == _NFLOG_PAYLOAD:
            return _by_version(data, at + 4, end)
        if size < 4:
            break
        at += (size + 3) & ~3
    return at, 0
