"""Packets that were read -> Enhanced Packet Blocks of a new file, in this machine's byte order and in nanoseconds.

The options of a packet are kept, numbers in the new byte order. An option that does not fit into its block ends
the list. From a section in the other byte order only options are kept that are one number, a comment or a hash:
others may have numbers inside.
"""

import numpy as np

from capture.arrays.aliases import Bytes, Words
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.pcapng.compiled.scan import BIG, FoundPacket, u16

FIXED = 32
"""Bytes of a block without packet and options."""
_ENHANCED_PACKET = 6
_COMMENT, _HASH = 1, 3
_NUMBERS_OF_4, _NUMBERS_OF_8 = (2, 6), (4, 5)
"""epb_flags and epb_queue; epb_dropcount and epb_packetid (draft-ietf-opsawg-pcapng, section 4.3)."""


@loop
def packet_blocks(data: Bytes, packets: Rows[FoundPacket], words: Words, out: Bytes, big_here: bool) -> int:
    """Write a block for each packet, and return the bytes written. `out` is the memory of `words`.

    There must be room for FIXED bytes, the packet with padding, its options and 4 bytes more, for each packet.
    """
    at = 0
    for i in range(len(packets)):
        row = packets[i]
        captured = np.int64(row.captured)
        words[at // 4] = _ENHANCED_PACKET
        words[at // 4 + 2] = row.interface
        words[at // 4 + 3] = (row.time_ns >> 32) & 0xFFFFFFFF
        words[at // 4 + 4] = row.time_ns & 0xFFFFFFFF
        words[at // 4 + 5] = captured
        words[at // 4 + 6] = row.original
        end = at + 28 + ((captured + 3) & ~3)
        words[end // 4 - 1] = 0
        for k in range(captured):
            out[at + 28 + k] = data[row.offset + k]
        length = np.int64(row.options) & ~BIG
        if length:
            source = row.offset + ((captured + 3) & ~3)
            end = _options(data, source, source + length, row.options & BIG != 0, words, out, end, big_here)
        total = end + 4 - at
        words[at // 4 + 1] = total
        words[end // 4] = total
        at += total
    return at


@loop
def _options(data: Bytes, at: int, end: int, big: bool, words: Words, out: Bytes, target: int, big_here: bool) -> int:
    """Copy options data[at:end] to `out` from `target` on. Return the position behind them."""
    start = target
    while at + 4 <= end:
        code, length = u16(data, at, big), u16(data, at + 2, big)
        padded = (length + 3) & ~3
        if code == 0 or at + 4 + length > end:
            break
        size = np.int64(0)
        if big != big_here:
            if code in _NUMBERS_OF_4:
                size = np.int64(4)
            elif code in _NUMBERS_OF_8:
                size = np.int64(8)
            elif code != _COMMENT and code != _HASH:
                size = np.int64(-1)
        if size == 0 or size == length:
            _two_halves(words, target, code, length, big_here)
            words[target // 4 + padded // 4] = 0 if padded else words[target // 4]
            for k in range(length):
                out[target + 4 + k] = data[at + 4 + (length - 1 - k if size else k)]
            target += 4 + padded
        at += 4 + padded
    if target > start:
        words[target // 4] = 0  # opt_endofopt
        target += 4
    return target


@loop
def _two_halves(words: Words, target: int, first: int, second: int, big_here: bool) -> None:
    """Write two numbers of 16 bits."""
    words[target // 4] = (first << 16 | second) if big_here else (second << 16 | first)
