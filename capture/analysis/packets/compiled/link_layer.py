"""A frame -> where its network layer begins, and its EtherType: Ethernet with VLAN tags, cooked, loopback, raw."""

import numpy as np

from capture.arrays.aliases import Bytes
from capture.arrays.jit import borrowing_loop as loop
from capture.wire.link_types import ETHERNET, IPV4, IPV6, LINUX_SLL, LINUX_SLL2, LOOP, NULL, RAW, RAW_BSD, RAW_OPENBSD


@loop
def net16(data: Bytes, at: int) -> int:
    """Return the number in two bytes in network order."""
    return np.int64(data[at]) << 8 | np.int64(data[at + 1])


@loop
def net32(data: Bytes, at: int) -> int:
    """Return the number in four bytes in network order."""
    return (
        np.int64(data[at]) << 24 | np.int64(data[at + 1]) << 16 | np.int64(data[at + 2]) << 8 | np.int64(data[at + 3])
    )


@loop
def net64(data: Bytes, at: int) -> int:
    """Return the number in eight bytes in network order."""
    return net32(data, at) << 32 | net32(data, at + 4)


@loop
def link_layer(data: Bytes, at: int, end: int, link: int) -> tuple[int, int]:
    """Return (index of the first byte behind the link layer, EtherType); the EtherType is 0 if unknown."""
    if link == ETHERNET:
        at, kind = at + 12, np.int64(0)
        while at + 2 <= end:
            kind = net16(data, at)
            at += 2
            if kind != 0x8100 and kind != 0x88A8 and kind != 0x9100:
                return at, kind
            at += 2
        return at, 0
    if link == LINUX_SLL:
        return at + 16, net16(data, at + 14) if at + 16 <= end else 0
    if link == LINUX_SLL2:
        return at + 20, net16(data, at) if at + 20 <= end else 0
    if link in (NULL, LOOP):  # an address family, whose number differs from system to system
        at += 4
    elif link not in (RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6):
        return at, 0
    if at >= end:
        return at, 0
    version = data[at] >> 4
    return at, 0x0800 if version == 4 else (0x86DD if version == 6 else 0)
