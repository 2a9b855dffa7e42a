"""Runs of blocks in all perf rings -> pieces of memory to write, in order of time: the one loop over all packets.

The problem
    Blocks lie in as many rings as there are CPUs. They have to be written in order of time, each has to be counted,
    and the loop has a few nanoseconds for each.

The invariant
    Before each step, `times[ring]` is the time of the first block of a ring that is not taken yet, NEVER if there is
    none before the ring's head, and `heap` holds the numbers of all rings, ordered by (time, ring). What a CPU put
    into the overflow ring is one more ring here (a lane of cursors.RingCursors).

Why it is right
    A ring is in order, because a CPU stamps a packet just before it submits it. So the oldest block of all rings is
    the oldest of their first ones, which is that of the top of the heap; and so are those that follow it in its ring,
    as long as they are older than the first block of the next ring in the heap. This stretch is taken. Then the ring
    gets the time of its next block, which is not older, and sinks to its place: the invariant holds again. The loop
    ends at a time that is not final, since what is younger may still be overtaken from another CPU (run.drain,
    stream.clock); with two blocks of one time, the lower ring goes first, so the result does not depend on where the
    loop was interrupted.

    The kernel made the blocks, and wrote their wall-clock time with the offset that it was given. Two kinds of blocks
    are copied to get another time: late ones, which get the time of the one before them, and those of a run whose
    offset is not the file's, after a step of the clock.

    What becomes of a packet is decided at the packet, from its block: a limit that is reached counts it and all that
    follow as over the limit; a file that is full ends the call before it. So limits and files are exact, and what is
    counted as written is what was found in the rings, not what the kernel says of them.

What it costs
    A look at the beginning and the end of each block. A stretch of PIECE_LEAST bytes and more is not copied: it is a
    piece of ring that is written from where it lies. Shorter ones, which appear where rings interleave, are copied
    behind each other. A sift through the heap, once for a stretch, compares at most 2 log2(rings) times.

Compiled by numba and cached; call portions.compiled() before packets flow.
"""

from typing import NamedTuple

import numpy as np
from numba import uint32

from capture.abi import ALONE, INBOUND, OUTBOUND, PACKET_BLOCK, PACKET_BLOCK_END, REVERSE, TAGGED
from capture.arrays.aliases import Longs, Words
from capture.arrays.jit import borrowing_loop, c_function
from capture.stream.compiled.cursors import (
    BLOCK_AT,
    FLAGS,
    NUMBER,
    OFFSET,
    REVERSE_BITS,
    RUN_END,
    TAG,
    TIME_HIGH_AT,
    TIME_LOW_AT,
    RingCursors,
    block_time,
    data_of,
    next_time,
    word_of,
)

FLAG_SETS = 8
"""Combinations of the flags inbound, outbound and reverse; tallies are kept for each."""

# An Enhanced Packet Block, in 32-bit words.
TOTAL_AT, INTERFACE_AT = word_of(PACKET_BLOCK, "total"), word_of(PACKET_BLOCK, "interface")
CAPTURED_AT = word_of(PACKET_BLOCK, "captured")
_BEGINNING, _END = PACKET_BLOCK.itemsize // 4, PACKET_BLOCK_END.itemsize // 4
FLAGS_FROM_END = _END - word_of(PACKET_BLOCK_END, "flags")
_FLAGS_OPTION, _MACS = 4 << 16 | 2, 3
SMALLEST_BLOCK = 4 * (_BEGINNING + _END)
"""Bytes of a block without its packet."""

PORTION = 1 << 18
"""Bytes of blocks after which a call ends: as much as fits the processor's cache until it is written."""
PIECE_LEAST = 2048
"""Bytes from which a stretch is written from its ring; for a shorter one, one more piece takes longer than a copy."""
PIECES_MOST = 512
"""Most pieces of one call; writev(2) takes 1,024."""
_PIECES_OF_A_STEP = 4
OUT_WORDS = (PORTION + (1 << 15)) // 4
"""Words of `out`: a portion, and what the last step of a call adds to it at most."""
PACKETS, BYTES, OVER_LIMIT, TALLY_COLUMNS = 0, 1, 2, 3
"""Columns of tallies: packets written, their bytes with a tag that was put back, packets over a limit."""

# Slots of `state`, which lives as long as a capture.
LAST_NS, LATE, LATE_MOST_NS = 0, 1, 2
"""Time of the last block, ns of CLOCK_MONOTONIC; number of late packets; the longest delay of one, ns."""
LEFT, LEFT_FORWARD, LEFT_REVERSE, BYTES_LEFT, FILE_LEFT = 3, 4, 5, 6, 7
"""Rest of each limit: packets of both directions, forward, reverse; bytes of blocks in all files, and in this one.
The caller sets them, and subtracts the blocks that it writes itself."""
FILE_PACKETS, FILE_FULL, REACHED = 8, 9, 10
"""Packets in this file; 1 if the next one does not fit it; the slot of the limit that ended the capture, or 0."""
PIECES, COPIED, STATE_SLOTS = 11, 12, 13
"""Rows of `pieces` and words of `out` that the last call filled."""


class Loop(NamedTuple):
    """What merge() works on."""

    rings: RingCursors
    rings_at: int
    """Address of the rings' memory."""
    times: Longs
    heap: Longs
    """[lanes] each: see the invariant."""
    out: Words
    """[OUT_WORDS], uint32: blocks that were copied."""
    out_at: int
    """Address of `out`."""
    pieces: Longs
    """[PIECES_MOST, 2]: struct iovec, address and bytes of each piece in the order in which to write them."""
    pieces_at: int
    """Address of `pieces`."""
    state: Longs
    """[STATE_SLOTS]. Written here and by run.limits."""


# numba's own loop over two arrays that may overlap is several times slower.
memcpy = c_function("memcpy", "intp", "intp", "intp", "intp")


@borrowing_loop
def _before(times: Longs, ring: int, other: int) -> bool:
    """True if a ring's next block goes before that of another ring."""
    return times[ring] < times[other] or (times[ring] == times[other] and ring < other)


@borrowing_loop
def _sift_down(heap: Longs, parent: int, times: Longs) -> None:
    """Move the ring at `parent` down to its place in the heap."""
    size, ring = len(heap), heap[parent]
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size and _before(times, heap[child + 1], heap[child]):
            child += 1
        if _before(times, ring, heap[child]):
            break
        heap[parent] = heap[child]
        parent = child
    heap[parent] = ring


@borrowing_loop
def _until(heap: Longs, times: Longs, final_ns: int) -> int:
    """Return the time before which the blocks of the first ring go before all others, and are final."""
    until = final_ns
    for child in range(1, min(3, len(heap))):
        until = min(until, times[heap[child]] + (heap[0] < heap[child]))
    return until


@borrowing_loop
def _add_piece(loop: Loop, address: int, size: int) -> None:
    """Add a piece of memory to those to write; the last one grows if it ends there."""
    pieces, count = loop.pieces, loop.state[PIECES]
    if count and pieces[count - 1, 0] + pieces[count - 1, 1] == address:
        pieces[count - 1, 1] += size
    elif size:
        pieces[count, 0], pieces[count, 1] = address, size
        loop.state[PIECES] = count + 1


@borrowing_loop
def _copied(loop: Loop, words: int) -> None:
    """Add the next words of `out` to the pieces."""
    _add_piece(loop, loop.out_at + 4 * loop.state[COPIED], 4 * words)
    loop.state[COPIED] += words


@borrowing_loop
def _take_words(loop: Loop, base: int, mask: int, begin: int, count: int, copy: bool) -> None:
    """Add words of a ring to the pieces, as two around its end: from where they lie, or copied if they are few."""
    copy = copy or count * 4 < PIECE_LEAST
    while count > 0:
        start = base + (begin & mask)
        part = min(count, base + mask + 1 - start)
        if copy:
            memcpy(loop.out_at + 4 * loop.state[COPIED], loop.rings_at + 4 * start, 4 * part)
            _copied(loop, part)
        else:
            _add_piece(loop, loop.rings_at + 4 * start, 4 * part)
        begin, count = begin + part, count - part


@borrowing_loop
def _put_time(loop: Loop, block: int, wall_ns: int) -> None:
    """Give a block in `out` another time."""
    loop.out[block + TIME_HIGH_AT] = wall_ns >> 32
    loop.out[block + TIME_LOW_AT] = wall_ns & 0xFFFFFFFF


@borrowing_loop
def _take_alone(loop: Loop, base: int, mask: int, at: int, ring: int, wall_ns: int) -> None:
    """Add the block of a packet that is alone: its beginning and end are in `out`, the packet mostly in its ring."""
    out, cursors, block = loop.out, loop.rings.cursors, loop.state[COPIED]
    _take_words(loop, base, mask, at, _BEGINNING, True)
    _put_time(loop, block, wall_ns)
    packet, left = at + _BEGINNING, np.int64(out[block + CAPTURED_AT])
    if cursors[ring, FLAGS] & TAGGED:
        _take_words(loop, base, mask, packet, _MACS, True)
        out[block + _BEGINNING + _MACS] = cursors[ring, TAG]
        _copied(loop, 1)
        packet, left = packet + _MACS, left - 4 * (_MACS + 1)
    _take_words(loop, base, mask, packet, left // 4, False)
    end = loop.state[COPIED]
    if left & 3:  # the ring has old memory behind the packet, which must not reach a file
        last = loop.rings.words[base + ((packet + left // 4) & mask)]
        out[end] = last & uint32((1 << ((left & 3) * 8)) - 1)
        end += 1
    out[end], out[end + 1] = _FLAGS_OPTION, cursors[ring, FLAGS] & (INBOUND | OUTBOUND)
    out[end + 2], out[end + 3] = 0, out[block + TOTAL_AT]
    _copied(loop, end + _END - loop.state[COPIED])


@borrowing_loop
def _take(loop: Loop, ring: int, until: int, wall_offset_ns: int, moved: Longs) -> int:
    """Take a stretch of a ring's blocks that are older than `until`: at least one, unless that does not fit the file
    or is over the limit of bytes. Returns their bytes.
    """
    rings, state = loop.rings, loop.state
    words, cursors = rings.words, rings.cursors
    base, mask = data_of(rings, ring)
    begin, end, time = cursors[ring, BLOCK_AT], cursors[ring, RUN_END], loop.times[ring]
    offset, run_flags, number = cursors[ring, OFFSET], cursors[ring, FLAGS], cursors[ring, NUMBER]
    writes, alone = state[REACHED] == 0, run_flags & ALONE != 0
    changed = alone or offset != wall_offset_ns or time < state[LAST_NS]
    at, last, size = begin, time, 0
    while True:
        word = at // 4
        total = np.int64(words[base + ((word + TOTAL_AT) & mask)])
        if writes:
            if total > state[BYTES_LEFT]:
                state[REACHED] = BYTES_LEFT
                break
            if total > state[FILE_LEFT] and state[FILE_PACKETS] > 0:
                state[FILE_FULL] = 1
                break
        interface = words[base + ((word + INTERFACE_AT) & mask)]
        flags = run_flags
        if not alone:
            flags = np.int64(words[base + ((word + total // 4 - FLAGS_FROM_END) & mask)])
        reverse = cursors[ring, REVERSE_BITS + (number >> 6)] >> (number & 63) & 1
        tally = (flags & (INBOUND | OUTBOUND)) | reverse * REVERSE
        number += 1
        at += total
        last = time
        if writes:
            side = LEFT_REVERSE if reverse else LEFT_FORWARD
            state[LEFT] -= 1
            state[side] -= 1
            if state[LEFT] == 0:
                state[REACHED] = LEFT
            elif state[side] == 0:
                state[REACHED] = side
            state[BYTES_LEFT] -= total
            state[FILE_LEFT] -= total
            state[FILE_PACKETS] += 1
            size += total
            moved[interface, tally, PACKETS] += 1
            moved[interface, tally, BYTES] += words[base + ((word + CAPTURED_AT) & mask)]
            if state[REACHED]:
                break
        else:
            moved[interface, tally, OVER_LIMIT] += 1
        if changed or at >= end:
            break
        time = block_time(words, base, mask, at // 4) - offset
        if time >= until:
            break
    cursors[ring, BLOCK_AT], cursors[ring, NUMBER] = end if alone and number else at, number
    if size:
        if last < state[LAST_NS]:
            state[LATE] += 1
            state[LATE_MOST_NS] = max(state[LATE_MOST_NS], state[LAST_NS] - last)
            last = state[LAST_NS]
        state[LAST_NS] = last
        if alone:
            _take_alone(loop, base, mask, begin // 4, ring, last + wall_offset_ns)
        else:
            block = state[COPIED]
            _take_words(loop, base, mask, begin // 4, size // 4, changed)
            if changed:
                _put_time(loop, block, last + wall_offset_ns)
    return size


@borrowing_loop
def merge(loop: Loop, final_ns: int, wall_offset_ns: int, moved: Longs) -> int:
    """Take blocks older than `final_ns` from the rings, into `pieces`. Returns their bytes.

    Stops when it has a PORTION, and before a block that does not fit the file (FILE_FULL): call it until it returns
    0. After a limit is reached, all packets are over the limit. Release the rings only when the pieces have been
    used.

    wall_offset_ns  of the file: wall-clock time minus CLOCK_MONOTONIC.
    moved           [interfaces, FLAG_SETS, TALLY_COLUMNS], int64, packets and bytes. Added to here.
    """
    rings, times, heap, state = loop.rings, loop.times, loop.heap, loop.state
    for ring in range(len(heap)):
        times[ring] = next_time(rings, ring)
        heap[ring] = ring
    for start in range(len(heap) // 2 - 1, -1, -1):
        _sift_down(heap, start, times)
    state[PIECES] = state[COPIED] = 0
    size = 0
    while len(heap) and size < PORTION and state[PIECES] + _PIECES_OF_A_STEP <= PIECES_MOST:
        ring = heap[0]
        if times[ring] >= final_ns:
            break
        size += _take(loop, ring, _until(heap, times, final_ns), wall_offset_ns, moved)
        if state[FILE_FULL]:
            break
        times[ring] = next_time(rings, ring)
        _sift_down(heap, 0, times)
    return size
