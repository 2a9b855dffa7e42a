"""Bytes of a capture file -> the positions of its packets: the compiled loops over blocks (pcapng) and records
(pcap).

Both fill the first fields of `packets` (FoundPacket). They stop where Python must act: at a block of a description,
at damage, at the end of the bytes, when `packets` is full. Nothing outside data[at:end] is read. All positions and
times are int64; a time that does not fit int64 nanoseconds wraps.
"""

import numpy as np

from capture.arrays.aliases import Bytes
from capture.arrays.compiled.byte_numbers import little16, little32, net16, net32
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import I64, U32, Record, Rows, dtype_of

# Reasons for which a loop stops. From TOO_LONG on the file is damaged.
MORE, FULL, DESCRIPTION, TOO_LONG, BAD_LENGTH, BAD_TRAILER, BAD_INTERFACE, BAD_CAPTURED = range(8)

BLOCK_LIMIT = 128 << 20
"""Most bytes of a block; a longer one counts as damage, as in Wireshark."""
BIG = 1 << 31
"""Bit of `options` in a section whose byte order is big-endian."""
PACKET_LIMIT = 16 << 20
"""Most bytes of a packet in a pcap file; a longer one counts as damage."""


class FoundPacket(Record):
    """The first fields of a packet's row, filled by the loops. Rows may have other fields behind these."""

    time_ns: I64
    offset: I64
    captured: U32
    original: U32
    interface: U32
    flags: U32
    options: U32  # bytes of options behind the packet and its padding; BIG: the highest byte of numbers is the first


class InterfaceTicks(Record):
    """The snaplen of an interface (0: none), and the numbers that turn ticks into nanoseconds since 1970."""

    snaplen: I64
    multiply: I64
    divide: I64
    shift: I64  # bits of a second's fraction in ticks; 0: ticks are multiplied and divided instead
    offset_ns: I64


INTERFACE_TICKS = dtype_of(InterfaceTicks)

_SECTION_HEADER, _INTERFACE, _NAMES = 0x0A0D0D0A, 1, 4
_OBSOLETE_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 2, 3, 6
_FLAGS_OPTION = 2


@loop
def u16(data: Bytes, at: int, big: bool) -> int:
    """Return two bytes as a number, in the section's byte order."""
    return net16(data, at) if big else little16(data, at)


@loop
def u32(data: Bytes, at: int, big: bool) -> int:
    """Return four bytes as a number, in the section's byte order."""
    return net32(data, at) if big else little32(data, at)


@loop
def _nanoseconds(ticks: int, interfaces: Rows[InterfaceTicks], interface: int) -> int:
    """Return a timestamp in the interface's units as nanoseconds since 1970."""
    shift = interfaces[interface].shift
    if shift:  # a power of two: seconds, and a fraction whose upper 30 bits are used
        seconds, fraction = ticks >> shift, ticks & ((np.int64(1) << shift) - 1)
        kept = min(shift, 30)
        return (
            seconds * 1_000_000_000
            + ((fraction >> (shift - kept)) * 1_000_000_000 >> kept)
            + (interfaces[interface].offset_ns)
        )
    ticks *= interfaces[interface].multiply
    if interfaces[interface].divide != 1:  # a division takes longer than all else here
        ticks //= interfaces[interface].divide
    return ticks + interfaces[interface].offset_ns


@loop
def _packet_flags(data: Bytes, at: int, end: int, big: bool) -> int:
    """Return epb_flags from the options of a packet block, 0 if there are none."""
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
    """Fill rows of `packets` from `count` on with blocks from data[at] on.

    Returns (next position, rows, reason for which it stopped). The first `known` rows of `interfaces` are described.
    A Simple Packet Block has no time: it gets that of the packet before it, at first `last_ns`.
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
        flags = options = 0
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
            behind = packet + ((captured + 3) & ~3)
            options = max(limit - behind, 0)
            flags = _packet_flags(data, behind, limit, big)
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
        row.options = options | (BIG if big else 0)
        count += 1
        at += total


@loop
def scan_pcap(
    data: Bytes, at: int, end: int, big: bool, tick_ns: int, packets: Rows[FoundPacket], count: int
) -> tuple[int, int, int]:
    """Fill rows of `packets` from `count` on with records of a pcap file from data[at] on; returns as scan_pcapng."""
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
        row.options = 0
        count += 1
        at += 16 + captured
