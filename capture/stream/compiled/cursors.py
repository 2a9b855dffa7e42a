"""Rings that the kernel fills -> the next block of each, and the memory that is given back.

A ring is a control page and its data (stream.source.RingMemory); positions count bytes since the start, and are ANDed
with the ring's size less one where they are used. All positions and times are int64: numba turns a mix of signed and
unsigned into floating point.

What order of memory this relies on
    What programs write on other CPUs is read in this order, which must hold where a processor reorders, too (arm64):

    - data_head, then the runs before it. The kernel writes them the other way round, with a barrier between
      (perf_output_put_handle() in kernel/events/ring_buffer.c). Between our reads is a fence; plain 64-bit reads of
      aligned words are whole on all processors that numba compiles for.
    - The runs, then data_tail. A fence again: the kernel reads data_tail before it overwrites released memory.
    - A batch's `used` and `oldest_ns`, then data_head. Programs have no barrier between their writes but the
      compiler's (BPF has had store-release since Linux 6.15), so on arm64 any of them may be seen first. Times on one
      CPU only grow: an outdated `oldest_ns` is too early, which makes us wait longer, never shorter. When a batch is
      submitted, `used` = 0 may be seen before data_head, for the time in which a CPU's writes leave it. That is far
      below the microseconds that Python needs from oldest_waiting() to snapshot(), and where it is not, the packets
      are late: they get the time of the one before, and are counted (docs/decisions/0005-rounds.md). None is lost.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from capture.abi import BATCH_STATE, PACKET_BLOCK, PACKET_RUN, PERF_HEADERS
from capture.arrays.aliases import Longs, Words
from capture.arrays.jit import borrowing_loop

NEVER = int(np.iinfo(np.int64).max)
"""A time later than that of any packet, ns."""
_SAMPLE = 9  # PERF_RECORD_SAMPLE; others (LOST, THROTTLE) are skipped, our own counters are exact

# struct perf_event_mmap_page: data_head and data_tail, in 64-bit words.
_HEAD, _TAIL = 1024 // 8, 1032 // 8


def word_of(struct: Any, field: str, size: int = 4) -> int:
    """Return the offset of a field, in words of `size` bytes."""
    return int(struct.fields[field][1]) // size


_USED, _OLDEST = word_of(BATCH_STATE, "used", 8), word_of(BATCH_STATE, "oldest_ns", 8)
_RUN = PACKET_RUN.itemsize
_OFFSET_AT, _REVERSE_AT = word_of(PACKET_RUN, "wall_offset_ns"), word_of(PACKET_RUN, "reverse")
_BYTES_FLAGS_AT, _TAG_AT = word_of(PACKET_RUN, "bytes"), word_of(PACKET_RUN, "tag")
TIME_HIGH_AT, TIME_LOW_AT = word_of(PACKET_BLOCK, "time_high"), word_of(PACKET_BLOCK, "time_low")

BLOCK_AT, RUN_END, SAMPLE_END, OFFSET, FLAGS, TAG, NUMBER, REVERSE_BITS, CURSOR_COLUMNS = 0, 1, 2, 3, 4, 5, 6, 7, 10
"""Columns of `cursors`: beginning of a ring's next block, end of its run and of the perf sample (bytes since the
start); then of the run: wall-clock minus monotonic time (ns), flags and tag, number of the next packet, and three
words whose bits tell which packets are reverse. A copy, because a run's beginning is overwritten once it is
released."""


class RingCursors(NamedTuple):
    """The rings and how far they are read."""

    words: Words
    """The memory of all rings, uint32; see RingMemory. Written by the kernel."""
    longs: Longs
    """The same memory, int64."""
    stride: int
    """Bytes of one ring with its control page."""
    page: int
    """Bytes of a control page."""
    heads: Longs
    """[rings], bytes since the start: data_head, as `snapshot` read it."""
    cursors: Longs
    """[rings, CURSOR_COLUMNS]; zero at first. Written by next_time() and merge()."""


@intrinsic
def _fence(_context: Any) -> Any:
    """Order our reads after data_head and before data_tail, as perf_event_open(2) asks.

    A locked instruction on x86-64, `dmb ish` on arm64; once a portion, so its cost cannot be measured.
    """

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@borrowing_loop
def snapshot(rings: RingCursors) -> int:
    """Read every ring's data_head. Returns the bytes that wait in the fullest ring."""
    most = 0
    for ring in range(len(rings.heads)):
        control = ring * rings.stride // 8
        rings.heads[ring] = rings.longs[control + _HEAD]
        most = max(most, rings.heads[ring] - rings.longs[control + _TAIL])
    _fence()
    return most


@borrowing_loop
def release(rings: RingCursors) -> None:
    """Return the memory of merged blocks to the kernel: set data_tail of each ring to its cursor."""
    _fence()
    for ring in range(len(rings.heads)):
        rings.longs[ring * rings.stride // 8 + _TAIL] = rings.cursors[ring, BLOCK_AT]


@borrowing_loop
def oldest_waiting(states: Longs) -> int:
    """Return the time of the oldest packet in any batch, NEVER if none waits.

    `states` is [CPUs, 64-bit words of batch_state], int64, written by the programs.
    """
    oldest = NEVER
    for cpu in range(len(states)):
        if states[cpu, _USED] > 0:
            oldest = min(oldest, states[cpu, _OLDEST])
    _fence()
    return oldest


@borrowing_loop
def data_of(rings: RingCursors, ring: int) -> tuple[int, int]:
    """Return where a ring's data begins in `words`, and the mask for positions in it."""
    return (ring * rings.stride + rings.page) // 4, (rings.stride - rings.page) // 4 - 1


@borrowing_loop
def _long(words: Words, base: int, mask: int, at: int) -> int:
    """Return the 64 bits at a word of a ring; they may lie around its end."""
    return np.int64(words[base + ((at + 1) & mask)]) << 32 | np.int64(words[base + (at & mask)])


@borrowing_loop
def block_time(words: Words, base: int, mask: int, at: int) -> int:
    """Return the wall-clock time of the block at a word of a ring, ns."""
    high, low = words[base + ((at + TIME_HIGH_AT) & mask)], words[base + ((at + TIME_LOW_AT) & mask)]
    return np.int64(high) << 32 | np.int64(low)


@borrowing_loop
def next_time(rings: RingCursors, ring: int) -> int:
    """Return the time (CLOCK_MONOTONIC) of a ring's next block, NEVER if there is none before its head.

    Moves the cursor over what is no block: the end of a sample, the beginning of a run, events of other kinds.
    """
    words, cursors = rings.words, rings.cursors
    base, mask = data_of(rings, ring)
    while cursors[ring, BLOCK_AT] >= cursors[ring, RUN_END]:
        at = cursors[ring, SAMPLE_END]
        cursors[ring, BLOCK_AT] = cursors[ring, RUN_END] = at
        if at >= rings.heads[ring]:
            return NEVER
        word = at // 4
        cursors[ring, SAMPLE_END] = at + (np.int64(words[base + ((word + 1) & mask)]) >> 16)
        if words[base + (word & mask)] != _SAMPLE:
            continue
        run = word + PERF_HEADERS // 4
        cursors[ring, OFFSET] = _long(words, base, mask, run + _OFFSET_AT)
        for n in range(3):
            cursors[ring, REVERSE_BITS + n] = _long(words, base, mask, run + _REVERSE_AT + 2 * n)
        bytes_flags = np.int64(words[base + ((run + _BYTES_FLAGS_AT) & mask)])
        cursors[ring, FLAGS], cursors[ring, TAG] = bytes_flags >> 16, words[base + ((run + _TAG_AT) & mask)]
        cursors[ring, NUMBER] = 0
        cursors[ring, BLOCK_AT] = run * 4 + _RUN
        cursors[ring, RUN_END] = run * 4 + _RUN + (bytes_flags & 0xFFFF)
    return block_time(words, base, mask, cursors[ring, BLOCK_AT] // 4) - cursors[ring, OFFSET]
