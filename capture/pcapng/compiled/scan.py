"""Bytes of a capture file -> where its packets are: the compiled loops over blocks (pcapng) and records (pcap).

Both fill the first fields of `packets` (FoundPacket) and stop where Python must look: at a block that
describes, at damage, where the bytes end, where `packets` is full. Nothing outside data[at:end] is read.
All positions and times are int64; a time that no int64 of nanoseconds holds wraps.
"""

import numpy as np

from capture.arrays.aliases import Bytes
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import I64, U32, Record, Rows, dtype_of

# Why a loop stopped. From BAD_LENGTH on the file is damaged.
MORE, FULL, DESCRIPTION, TOO_LONG, BAD_LENGTH, BAD_TRAILER, BAD_INTERFACE, BAD_CAPTURED = range(8)

BLOCK_LIMIT = 128 << 20
"""A longer block is taken for damage, as Wireshark does."""
PACKET_LIMIT = 16 << 20
"""A longer packet in a pcap file is taken for damage."""


class FoundPacket(Record):
    """What is found of a packet. Rows may have other fields behind these, in any order."""

    time_ns: I64
    offset: I64
    captured: U32
    original: U32
    interface: U32
    flags: U32


class InterfaceTicks(Record):
    """What an interface's packets need: the snaplen (0: none), and how ticks become nanoseconds since 1970."""

    snaplen: I64
    multiply: I64
    divide: I64
    shift: I64  # ticks are a fraction of a second of so many bits; 0: they are multiplied and divided
    offset_ns: I64


INTERFACE_TICKS = dtype_of(InterfaceTicks)

_SECTION_HEADER, _INTERFACE, _NAMES = 0x0A0D0D0A, 1, 4
_OBSOLETE_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 2, 3, 6
_FLAGS_OPTION = 2


@loop
def u16(data: Bytes, at: int, big: bool) -> int:
    """Two bytes as a number, in the section's byte order."""
    if big:
        return np.int64(data[at]) << 8 | np.int64(data[at + 1])
    return np.int64(data[at + 1]) << 8 | np.int64(data[at])


@loop
def u32(data: Bytes, at: int, big: bool) -> int:
    """Four bytes as a number, in the section's byte order."""
    if big:
        return (
            np.int64(data[at]) << 24
            | np.int64(data[at + 1]) << 16
            | np.int64(data[at + 2]) << 8
            | np.int64(data[at + 3])
        )
    return (
        np.int64(data[at + 3]) << 24 | np.int64(data[at + 2]) << 16 | np.int64(data[at + 1]) << 8 | np.int64(data[at])
    )


@loop
def _nanoseconds(ticks: int, interfaces: Rows[InterfaceTicks], interface: int) -> int:
    """A timestamp in the interface's units as nanoseconds since 1970."""
    shift = interfaces[interface].shift
    if shift:  # a power of two: seconds and a fraction, of which 30 bits are kept
        seconds, fraction = ticks >> shift, ticks & ((np.int64(1) << shift) - 1)
        kept = min(shift, 30)
        return (
            seconds * 1_000_000_000
            + ((fraction >> (shift - kept)) * 1_000_000_000 >> kept)
            + (interfaces[interface].offset_ns)
        )
    return ticks * interfaces[interface].multiply // interfaces[interface].divide + interfaces[interface].offset_ns


@loop
def _packet_flags(data: Bytes, at: int, end: int, big: bool) -> int:
    """epb_flags among the options of a packet block; 0 without."""
    while at + 8 <= end:
        code, length = u16(data, at, big), u16(data, at + 2, big)
        if code == 0:
            break
        if code == _FLAGS_OPTION and length == 4:
            return u32(data, at + 4, big)
        at += 4 + ((length + 3) & ~3)
    return 0


@loop
def scan_pcapng(
    data: Bytes,
    at: int,
    end: int,
    big: bool,
    interfaces: Rows[InterfaceTicks],
    known: int,
    last_ns: int,
    packets: Rows[FoundPacket],
    count: int,
) -> tuple[int, int, int]:
    """Blocks from data[at] on -> rows of `packets` from `count` on; (next position, rows, why it stopped).

    Of `interfaces`, `known` are described. A Simple Packet Block has no time:
    it gets that of the packet before it, `last_ns` at first.
    """
    while True:
        if count >= len(packets):
            return at, count, FULL
        if at + 12 > end:
            return at, count, MORE
        kind, total = u32(data, at, big), u32(data, at + 4, big)
        if kind == _SECTION_HEADER:
            return at, count, DESCRIPTION
        if total < 12 or total & 3:
            return at, count, BAD_LENGTH
        if total > BLOCK_LIMIT:
            return at, count, TOO_LONG
        if at + total > end:
            return at, count, MORE
        if u32(data, at + total - 4, big) != total:
            return at, count, BAD_TRAILER
        limit = at + total - 4
        flags = 0
        if kind in (_ENHANCED_PACKET, _OBSOLETE_PACKET):
            packet = at + 28
            if packet > limit:
                return at, count, BAD_LENGTH
            interface = u32(data, at + 8, big) if kind == _ENHANCED_PACKET else u16(data, at + 8, big)
            if interface >= known:
                return at, count, BAD_INTERFACE
            captured, original = u32(data, at + 20, big), u32(data, at + 24, big)
            if captured > limit - packet:
                return at, count, BAD_CAPTURED
            last_ns = _nanoseconds(u32(data, at + 12, big) << 32 | u32(data, at + 16, big), interfaces, interface)
            flags = _packet_flags(data, packet + ((captured + 3) & ~3), limit, big)
        elif kind == _SIMPLE_PACKET:
            packet = at + 12
            if packet > limit:
                return at, count, BAD_LENGTH
            if known == 0:
                return at, count, BAD_INTERFACE
            interface, original = 0, u32(data, at + 8, big)
            captured = min(original, limit - packet)
            if interfaces[0].snaplen:
                captured = min(captured, interfaces[0].snaplen)
        elif kind in (_INTERFACE, _NAMES):
            return at, count, DESCRIPTION
        else:  # custom, local and future blocks
            at += total
            continue
        row = packets[count]
        row.time_ns = last_ns
        row.offset = packet
        row.captured = captured
        row.original = max(original, captured)
        row.interface = interface
        row.flags = flags
        count += 1
        at += total


@loop
def scan_pcap(
    data: Bytes, at: int, end: int, big: bool, tick_ns: int, packets: Rows[FoundPacket], count: int
) -> tuple[int, int, int]:
    """Rows of a pcap file from data[at] on -> rows of `packets` from `count` on, as scan_pcapng does."""
    while True:
        if count >= len(packets):
            return at, count, FULL
        if at + 16 > end:
            return at, count, MORE
        captured, original = u32(data, at + 8, big), u32(data, at + 12, big)
        if captured > PACKET_LIMIT:
            return at, count, BAD_CAPTURED
        if at + 16 + captured > end:
            return at, count, MORE
        row = packets[count]
        row.time_ns = u32(data, at, big) * 1_000_000_000 + u32(data, at + 4, big) * tick_ns
        row.offset = at + 16
        row.captured = captured
        row.original = max(original, captured)
        row.interface = 0
        row.flags = 0
        count += 1
        at += 16 + captured
