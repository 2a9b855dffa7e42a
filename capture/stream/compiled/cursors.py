"""Rings that the kernel fills -> the next block of each, and the memory that is given back.

Positions in a ring (stream.source.RingMemory) count bytes since the start, and are ANDed with the ring's size less
one where they are used. All positions and times are int64: numba turns a mix of signed and unsigned into floating
point.

Blocks are read from lanes: each is a sequence of runs of one CPU, in order. The first lanes are the perf rings; if
there is an overflow ring, as many follow, each for what one CPU has put there.

What order of memory this relies on
    What programs write on other CPUs is read in this order, which must hold where a processor reorders, too (arm64):

    - data_head, then the runs before it. The kernel writes them the other way round, with a barrier between
      (perf_output_put_handle() in kernel/events/ring_buffer.c). Between our reads is a fence; plain 64-bit reads of
      aligned words are whole on all processors that numba compiles for.
    - The runs, then data_tail. A fence again: the kernel reads data_tail before it overwrites released memory.
    - The producers' position in the overflow ring, then a record's length, then the record. The kernel writes the
      length, with a flag that the record is not complete, before the position, and takes the flag away behind the
      record. A fence after each.
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

from capture.abi import BATCH_STATE, OVERFLOW_RUN, PACKET_BLOCK, PACKET_RUN, PERF_HEADERS
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


# A record of the overflow ring begins with struct bpf_ringbuf_hdr: length and flags, then a word of the kernel's.
_BUSY, _DISCARDED, _LENGTH, _RECORD_HEADER = 1 << 31, 1 << 30, (1 << 30) - 1, 8
_RING_AT = (_RECORD_HEADER + word_of(OVERFLOW_RUN, "ring", 1)) // 4
_RUN_AT = (_RECORD_HEADER + word_of(OVERFLOW_RUN, "run", 1)) // 4
_SPINS_MOST = 4096
"""Looks at a record that is not complete while later ones wait, some 40 µs: a copy of the largest takes 20."""

_USED, _OLDEST = word_of(BATCH_STATE, "used", 8), word_of(BATCH_STATE, "oldest_ns", 8)
_RUN = PACKET_RUN.itemsize
_OFFSET_AT, _REVERSE_AT = word_of(PACKET_RUN, "wall_offset_ns"), word_of(PACKET_RUN, "reverse")
_BYTES_FLAGS_AT, _TAG_AT = word_of(PACKET_RUN, "bytes"), word_of(PACKET_RUN, "tag")
TIME_HIGH_AT, TIME_LOW_AT = word_of(PACKET_BLOCK, "time_high"), word_of(PACKET_BLOCK, "time_low")

SCANNED, OVERFLOW_MOST, COVERED, OVERFLOW_SLOTS = 0, 1, 2, 3
"""Slots of `overflow`: the position up to which its records are known; the most bytes that waited there; 1 if records
wait behind one that is not complete, so packets may be hidden."""
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
    rings: int
    overflow_bytes: int
    """Bytes of the overflow ring's data; 0: there is none."""
    overflow: Longs
    """[OVERFLOW_SLOTS]. Written by snapshot()."""
    heads: Longs
    """[lanes], bytes since the start: data_head, as `snapshot` read it, and the end of a CPU's last record."""
    cursors: Longs
    """[lanes, CURSOR_COLUMNS]; zero at first. Written by snapshot(), next_time() and merge()."""


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
    """Read how far each lane is filled. Returns the bytes that wait for the CPU that has most, at most."""
    most = 0
    for ring in range(rings.rings):
        control = ring * rings.stride // 8
        rings.heads[ring] = rings.longs[control + _HEAD]
        most = max(most, rings.heads[ring] - rings.longs[control + _TAIL])
    _fence()
    return most + _scan_overflow(rings) if rings.overflow_bytes else most


@borrowing_loop
def _positions(rings: RingCursors) -> tuple[int, int]:
    """Return where the reader's and the producers' positions in the overflow ring are, in `longs`."""
    at = rings.rings * rings.stride // 8
    return at, at + rings.page // 8


@borrowing_loop
def _end_of_record(at: int, header: int) -> int:
    """Return where the record of the overflow ring at `at` ends; `header` is its first word."""
    return at + ((header & _LENGTH) + _RECORD_HEADER + 7 & ~7)


@borrowing_loop
def _scan_overflow(rings: RingCursors) -> int:
    """Give the new records of the overflow ring to their lanes. Returns the bytes that wait in it.

    Ends at a record that is not complete. That hides nothing that is final, if nothing is behind it: while a program
    copies its batch, the batch counts as waiting. If something is, other CPUs wrote it, so the record is waited for.
    """
    words, cursors, heads, overflow = rings.words, rings.cursors, rings.heads, rings.overflow
    reader, producers = _positions(rings)
    end, at = rings.longs[producers], overflow[SCANNED]
    _fence()
    base, mask = data_of(rings, rings.rings)
    overflow[COVERED] = 0
    while at < end:
        word = at // 4
        header = np.int64(words[base + (word & mask)])
        following = _end_of_record(at, header)
        spins = 0
        while header & _BUSY and following < end and spins < _SPINS_MOST:
            _fence()
            header = np.int64(words[base + (word & mask)])
            spins += 1
        if header & _BUSY:
            overflow[COVERED] = following < end
            break
        _fence()
        lane = rings.rings - 1 + np.int64(words[base + ((word + _RING_AT) & mask)])
        if rings.rings <= lane < len(heads) and not header & _DISCARDED:
            if cursors[lane, BLOCK_AT] >= heads[lane]:  # nothing is left: do not walk over what came between
                cursors[lane, BLOCK_AT] = cursors[lane, RUN_END] = cursors[lane, SAMPLE_END] = at
            heads[lane] = following
        at = following
    overflow[SCANNED] = at
    waits = end - rings.longs[reader]
    overflow[OVERFLOW_MOST] = max(overflow[OVERFLOW_MOST], waits)
    return waits


@borrowing_loop
def release(rings: RingCursors) -> None:
    """Return the memory of merged blocks to the kernel: set data_tail of each ring to its cursor, and the reader's
    position in the overflow ring to the first cursor that has something left."""
    _fence()
    for ring in range(rings.rings):
        rings.longs[ring * rings.stride // 8 + _TAIL] = rings.cursors[ring, BLOCK_AT]
    if rings.overflow_bytes:
        read = rings.overflow[SCANNED]
        for lane in range(rings.rings, len(rings.heads)):
            if rings.cursors[lane, BLOCK_AT] < rings.heads[lane]:
                read = min(read, rings.cursors[lane, BLOCK_AT])
        rings.longs[_positions(rings)[0]] = read


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
    """Return where the data of a lane begins in `words`, and the mask for positions in it."""
    if ring >= rings.rings:
        return (rings.rings * rings.stride + 2 * rings.page) // 4, rings.overflow_bytes // 4 - 1
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
    """Return the time (CLOCK_MONOTONIC) of a lane's next block, NEVER if there is none before its head.

    Moves the cursor over what is no block: the end of a sample, the beginning of a run, events of other kinds,
    records of other lanes.
    """
    words, cursors = rings.words, rings.cursors
    base, mask = data_of(rings, ring)
    while cursors[ring, BLOCK_AT] >= cursors[ring, RUN_END]:
        at = cursors[ring, SAMPLE_END]
        cursors[ring, BLOCK_AT] = cursors[ring, RUN_END] = at
        if at >= rings.heads[ring]:
            return NEVER
        word = at // 4
        if ring < rings.rings:
            cursors[ring, SAMPLE_END] = at + (np.int64(words[base + ((word + 1) & mask)]) >> 16)
            if words[base + (word & mask)] != _SAMPLE:
                continue
            run = word + PERF_HEADERS // 4
        else:
            header = np.int64(words[base + (word & mask)])
            cursors[ring, SAMPLE_END] = _end_of_record(at, header)
            if header & _DISCARDED or words[base + ((word + _RING_AT) & mask)] != ring - rings.rings + 1:
                continue
            run = word + _RUN_AT
        cursors[ring, OFFSET] = _long(words, base, mask, run + _OFFSET_AT)
        for n in range(3):
            cursors[ring, REVERSE_BITS + n] = _long(words, base, mask, run + _REVERSE_AT + 2 * n)
        bytes_flags = np.int64(words[base + ((run + _BYTES_FLAGS_AT) & mask)])
        cursors[ring, FLAGS], cursors[ring, TAG] = bytes_flags >> 16, words[base + ((run + _TAG_AT) & mask)]
        cursors[ring, NUMBER] = 0
        cursors[ring, BLOCK_AT] = run * 4 + _RUN
        cursors[ring, RUN_END] = run * 4 + _RUN + (bytes_flags & 0xFFFF)
    return block_time(words, base, mask, cursors[ring, BLOCK_AT] // 4) - cursors[ring, OFFSET]
