"""Records of all perf rings -> Enhanced Packet Blocks in order of time: the one loop over all packets.

The problem
    Records lie in as many rings as there are CPUs. Each has to become a block (pcapng 4.3), the blocks of all rings
    have to be in order of time, and the loop has some ten nanoseconds for each.

The invariant
    Before each step, `times[ring]` is the time of the first record of a ring that is not in a block yet, NEVER if
    there is none before the ring's head, and `heap` holds the numbers of all rings, ordered by (time, ring).

Why it is right
    A ring is in order, because a CPU stamps a record just before it submits it. So the oldest record of all rings is
    the oldest of their first ones, which is the top of the heap. It becomes a block, its ring gets the time of its
    next record, which is not older, and sinks to its place: the invariant holds again. The loop ends at a time that
    is not final, since what is younger may still be overtaken from another CPU (run.drain, stream.clock); with two
    records of one time, the lower ring goes first, so the result does not depend on where the loop was interrupted.

    What a record becomes is decided at the record: a limit that is reached counts it and all that follow as over the
    limit; a file that is full ends the call before it. So limits and files are exact to the packet.

What it costs
    One copy of a packet, from the ring into its block. A packet of LARGE bytes and more is not copied at all: it is
    a piece of ring that is to be written between two pieces of blocks. A record begins where the one before it ends,
    so the processor would wait for each from memory; its lines are asked for 1 KiB ahead (docs/decisions/0015).
    A sift through the heap compares at most 2 log2(rings) times; as batches keep a ring on top for many records, it
    mostly compares twice. Memory is that of the blocks, whatever the rings hold.

What order of memory it relies on
    What programs write on other CPUs is read in this order, which must hold where a processor reorders, too (arm64):

    - data_head, then the records before it. The kernel writes them the other way round, with a barrier between
      (perf_output_put_handle() in kernel/events/ring_buffer.c). Between our reads is a fence; plain 64-bit reads of
      aligned words are whole on all processors that numba compiles for.
    - The records, then data_tail. A fence again: the kernel reads data_tail before it overwrites released memory.
    - A batch's `used` and `oldest_ns`, then data_head. Programs have no barrier between their writes but the
      compiler's (BPF has had store-release since Linux 6.15), so on arm64 any of them may be seen first. Times on one
      CPU only grow: an outdated `oldest_ns` is too early, which makes us wait longer, never shorter. When a batch is
      submitted, `used` = 0 may be seen before data_head, for the time in which a CPU's writes leave it. That is far
      below the microseconds that Python needs from oldest_waiting() to snapshot(), and where it is not, the records
      are late: they get the time of the one before, and are counted (docs/decisions/0005-rounds.md). None is lost.

The rings wrap: a position counts bytes since the start, and is ANDed with the ring's size less one where it is used.
All positions and times are int64: numba turns a mix of signed and unsigned into floating point. Compiled by numba and
cached; call `compiled()` before packets flow.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types, uint32
from numba.core import cgutils
from numba.extending import intrinsic

from capture.abi import BATCH_STATE, PACKET_RECORD, PERF_HEADERS, REVERSE, VLAN
from capture.arrays.aliases import Longs, Words
from capture.arrays.jit import loop

FLAG_SETS = 8
"""Combinations of the flags inbound, outbound and reverse; tallies are kept for each."""
NEVER = np.iinfo(np.int64).max
"""A time later than that of any record, ns."""


def _word(field: str) -> int:
    assert PACKET_RECORD.fields is not None
    return int(PACKET_RECORD.fields[field][1]) // 4


# Offsets within a record, in 32-bit words.
_TIME, _CAPTURED, _ORIGINAL = _word("timestamp_ns"), _word("captured"), _word("original")
_INTERFACE_FLAGS, _VLAN = _word("interface"), _word("vlan_tci")
_RECORD = PACKET_RECORD.itemsize
_PACKET = _RECORD // 4
_SAMPLE = 9  # PERF_RECORD_SAMPLE; others (LOST, THROTTLE) are skipped, our own counters are exact
_VLAN_FLAG, _REVERSE_FLAG, _TALLY_MASK = VLAN, REVERSE, FLAG_SETS - 1

# Offsets within a batch's state, in 64-bit words.
_USED, _OLDEST = (int(BATCH_STATE.fields[name][1]) // 8 for name in ("used", "oldest_ns"))  # type: ignore[index]

# The beginning of a record is known only from the record before it, so the processor would wait for memory at each.
# The cache lines this far ahead are prefetched, one by one. In 32-bit words.
_AHEAD, _LINE = 256, 16

# struct perf_event_mmap_page: data_head and data_tail, in 64-bit words.
_HEAD, _TAIL = 1024 // 8, 1032 // 8

# An Enhanced Packet Block (draft-ietf-opsawg-pcapng 4.3), in 32-bit words: header, packet, then the option epb_flags.
_TYPE_AT, _TOTAL_AT, _INTERFACE_AT, _TIME_HIGH_AT, _TIME_LOW_AT, _CAPTURED_AT, _ORIGINAL_AT = range(7)
_EPB, _FLAGS_OPTION, _END_OF_OPTIONS = 6, 4 << 16 | 2, 0
EPB_HEADER_WORDS, EPB_TRAILER_WORDS = 7, 4
LARGEST_BLOCK_WORDS = EPB_HEADER_WORDS + EPB_TRAILER_WORDS + 65536 // 4 + 1
SMALLEST_BLOCK = 4 * (EPB_HEADER_WORDS + EPB_TRAILER_WORDS)

LARGE = 8192
"""Captured bytes from which a packet is not copied; for a smaller one, writing one more piece takes longer than a
copy."""
PIECES_MOST = 128
"""Most pieces of rings in one call: writev(2) takes 1,024 parts, and parts of blocks are between the pieces."""
PIECED_MOST = 1 << 18
"""Words in pieces after which a call ends. This is more than a portion of blocks has, because pieces are not copied
and need no place in the processor's cache."""
RECORD_AT, SAMPLE_END, CURSOR_COLUMNS = 0, 1, 2
"""Columns of `cursors`, bytes since the start: beginning of a ring's next record, end of the perf sample it is in."""
PIECE_AT, PIECE_FROM, PIECE_WORDS, PIECE_COLUMNS = 0, 1, 2, 3
"""Columns of `pieces`, in 32-bit words: position in the blocks before which the piece is written, position in the
memory of the rings where it begins, its length."""
PACKETS, BYTES, OVER_LIMIT, TALLY_COLUMNS = 0, 1, 2, 3
"""Columns of `tallies`: packets written, their bytes with a tag that was put back, packets over a limit."""

# Slots of `state`, which lives as long as a capture.
LAST_NS, LATE, LATE_MOST_NS = 0, 1, 2
"""Time of the last block, ns of CLOCK_MONOTONIC; number of late packets; the longest delay of one, ns."""
LEFT, LEFT_FORWARD, LEFT_REVERSE, BYTES_LEFT, FILE_LEFT = 3, 4, 5, 6, 7
"""Rest of each limit: packets of both directions, forward, reverse; bytes of blocks in all files, and in this one.
The caller sets them, and subtracts the blocks that it writes itself."""
FILE_PACKETS, FILE_FULL, REACHED = 8, 9, 10
"""Packets in this file; 1 if the next one does not fit it; the slot of the limit that ended the capture, or 0."""
PIECES, PIECED, STATE_SLOTS = 11, 12, 13
"""Rows of `pieces` that the last call filled, and the words that they have together."""


@intrinsic
def _fence(_context: Any) -> Any:
    """Order our reads after data_head and before data_tail, as perf_event_open(2) asks.

    A locked instruction on x86-64, `dmb ish` on arm64; once a round, so its cost cannot be measured.
    """

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _copy(_context: Any, out: Any, to: Any, words: Any, start: Any, count: Any) -> Any:
    """memcpy of `count` words: numba's own loop over two arrays that may overlap is several times slower."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        target, to, origin, start, count = arguments
        target = context.make_array(signature.args[0])(context, builder, target).data
        origin = context.make_array(signature.args[2])(context, builder, origin).data
        cgutils.raw_memcpy(builder, builder.gep(target, [to]), builder.gep(origin, [start]), count, 4)
        return context.get_dummy_value()

    return types.void(out, to, words, start, count), generate


@intrinsic
def _prefetch(_context: Any, words: Any, at: Any) -> Any:
    """Prefetch the cache line that words[at] is in, without waiting for it."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        array, at = arguments
        data = context.make_array(signature.args[0])(context, builder, array).data
        pointer = builder.bitcast(builder.gep(data, [at]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kinds = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kinds, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, *(number(value) for value in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(words, at), generate


@loop
def snapshot(longs: Longs, stride: int, heads: Longs) -> int:
    """Read every ring's data_head into `heads`. Returns the bytes that wait in the fullest ring.

    longs   the rings, int64; see RingMemory. Written by the kernel.
    heads   [rings], int64, bytes since the start. Written here.
    """
    most = 0
    for ring in range(len(heads)):
        page = ring * stride // 8
        heads[ring] = longs[page + _HEAD]
        most = max(most, heads[ring] - longs[page + _TAIL])
    _fence()
    return most


@loop
def oldest_waiting(states: Longs) -> int:
    """Return the time of the oldest record in any batch, NEVER if none waits.

    `states` is [CPUs, 64-bit words of batch_state], int64, written by the programs.
    """
    oldest = NEVER
    for cpu in range(len(states)):
        if states[cpu, _USED] > 0:
            oldest = min(oldest, states[cpu, _OLDEST])
    _fence()
    return oldest


@loop
def _oldest(words: Words, base: int, mask: int, head: int, cursors: Longs, ring: int) -> int:
    """Return the time of a ring's first record, NEVER if there is none before `head`.

    `cursors[ring]` has the beginning of the record and the end of its perf sample; both move on to the next sample
    when this one is used up. Other kinds of events are skipped.
    """
    while cursors[ring, RECORD_AT] + _RECORD > cursors[ring, SAMPLE_END]:
        tail = cursors[ring, SAMPLE_END]
        cursors[ring, RECORD_AT] = tail
        if tail >= head:
            return NEVER
        at = tail >> 2
        cursors[ring, SAMPLE_END] = tail + (np.int64(words[base + ((at + 1) & mask)]) >> 16)
        if words[base + (at & mask)] == _SAMPLE:
            cursors[ring, RECORD_AT] += PERF_HEADERS
        else:
            cursors[ring, RECORD_AT] = cursors[ring, SAMPLE_END]
    at = (cursors[ring, RECORD_AT] >> 2) + _TIME
    return np.int64(words[base + ((at + 1) & mask)]) << 32 | np.int64(words[base + (at & mask)])


@loop
def _sift_down(heap: Longs, parent: int, times: Longs) -> None:
    """Move the ring at `parent` down to its place in the heap of ring numbers, which is ordered by (time, ring)."""
    size, ring = len(heap), heap[parent]
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size:
            a, b = heap[child], heap[child + 1]
            if times[b] < times[a] or (times[b] == times[a] and b < a):
                child += 1
        below = heap[child]
        if times[ring] < times[below] or (times[ring] == times[below] and ring < below):
            break
        heap[parent] = below
        parent = child
    heap[parent] = ring


@loop
def merge(
    words: Words,
    longs: Longs,
    stride: int,
    page: int,
    heads: Longs,
    cursors: Longs,
    final_ns: int,
    wall_offset_ns: int,
    out: Words,
    pieces: Longs,
    state: Longs,
    tallies: Longs,
) -> int:
    """Move records older than `final_ns` from the rings into `out` as blocks. Returns the number of words written.

    Stops before a block that might not fit `out`, and before one that does not fit the file (FILE_FULL): call it
    until it writes nothing. After a limit is reached, all packets are over the limit. Release the rings only when
    the blocks and the pieces have been used.

    words, longs  the same memory, uint32 and int64: rings of `stride` bytes, of which `page` are the control page and
                  the rest, a power of two, the data. Written by the kernel.
    heads         [rings], int64, bytes since the start. Written by `snapshot`.
    cursors       [rings, CURSOR_COLUMNS], int64, bytes since the start; zero at first. Written here.
    out           [words], uint32: blocks. Written here, from the beginning.
    pieces        [PIECES_MOST, PIECE_COLUMNS], int64, words: parts of rings that belong between the blocks, in their
                  order. state[PIECES] of them are written here.
    state         [STATE_SLOTS], int64. Written here and by run.limits.
    tallies       [interfaces, FLAG_SETS, TALLY_COLUMNS], int64, packets and bytes. Added to here.
    """
    rings = len(heads)
    mask = (stride - page) // 4 - 1
    times = np.empty(rings, np.int64)
    heap = np.empty(rings, np.int64)
    for ring in range(rings):
        times[ring] = _oldest(words, (ring * stride + page) // 4, mask, heads[ring], cursors, ring)
        heap[ring] = ring
    for start in range(rings // 2 - 1, -1, -1):
        _sift_down(heap, start, times)

    written = 0
    room = len(out) - LARGEST_BLOCK_WORDS
    state[PIECES] = state[PIECED] = 0
    while rings and written <= room and state[PIECED] <= PIECED_MOST and state[PIECES] + 2 <= len(pieces):
        ring = heap[0]
        time = times[ring]
        if time >= final_ns:
            break
        base = (ring * stride + page) // 4
        at = cursors[ring, RECORD_AT] >> 2
        interface_flags = np.int64(words[base + ((at + _INTERFACE_FLAGS) & mask)])
        interface, flags = interface_flags & 0xFFFF, interface_flags >> 16
        captured = np.int64(words[base + ((at + _CAPTURED) & mask)])
        length = captured + 4 if flags & _VLAN_FLAG else captured
        total = (EPB_HEADER_WORDS + ((length + 3) >> 2) + EPB_TRAILER_WORDS) * 4
        if state[REACHED] == 0:
            if total > state[BYTES_LEFT]:
                state[REACHED] = BYTES_LEFT
            elif total > state[FILE_LEFT] and state[FILE_PACKETS] > 0:
                state[FILE_FULL] = 1
                break
        cursors[ring, RECORD_AT] += _RECORD + ((captured + 7) & ~7)
        if captured < LARGE:
            for ahead in range(at + _AHEAD, at + _AHEAD + ((_RECORD + captured) >> 2), _LINE):
                _prefetch(words, base + (ahead & mask))
        tally = flags & _TALLY_MASK
        if state[REACHED] == 0:
            side = LEFT_REVERSE if flags & _REVERSE_FLAG else LEFT_FORWARD
            state[LEFT] -= 1
            state[side] -= 1
            if state[LEFT] == 0:
                state[REACHED] = LEFT
            elif state[side] == 0:
                state[REACHED] = side
            state[BYTES_LEFT] -= total
            state[FILE_LEFT] -= total
            state[FILE_PACKETS] += 1
            if time < state[LAST_NS]:
                state[LATE] += 1
                state[LATE_MOST_NS] = max(state[LATE_MOST_NS], state[LAST_NS] - time)
                time = state[LAST_NS]
            state[LAST_NS] = time

            packet, source = written + EPB_HEADER_WORDS, at + _PACKET
            if flags & _VLAN_FLAG:
                tag = words[base + ((at + _VLAN) & mask)]
                tci = tag & 0xFFFF
                for i in range(3):
                    out[packet + i] = words[base + ((source + i) & mask)]
                out[packet + 3] = (tag >> 16) | ((tci >> 8 | (tci & 0xFF) << 8) << 16)
                packet, source, captured = packet + 4, source + 3, captured - 12
            if captured >= LARGE:
                whole = captured >> 2
                _keep(pieces, state, packet, base, source & mask, whole, mask + 1)
                source += whole
                captured &= 3
            count = (captured + 3) >> 2
            begin = source & mask
            if begin + count <= mask + 1:
                _copy(out, packet, words, base + begin, count)
            else:
                for i in range(count):
                    out[packet + i] = words[base + ((source + i) & mask)]
            end = packet + count
            if captured & 3:  # the ring has old memory behind the packet, which must not reach a file
                out[end - 1] &= uint32((1 << ((captured & 3) * 8)) - 1)

            wall = time + wall_offset_ns
            out[written + _TYPE_AT] = _EPB
            out[written + _TOTAL_AT] = total
            out[written + _INTERFACE_AT] = interface
            out[written + _TIME_HIGH_AT] = wall >> 32
            out[written + _TIME_LOW_AT] = wall & 0xFFFFFFFF
            out[written + _CAPTURED_AT] = length
            out[written + _ORIGINAL_AT] = words[base + ((at + _ORIGINAL) & mask)]
            out[end] = _FLAGS_OPTION
            out[end + 1] = flags & 3
            out[end + 2] = _END_OF_OPTIONS
            out[end + 3] = total
            written = end + EPB_TRAILER_WORDS
            tallies[interface, tally, PACKETS] += 1
            tallies[interface, tally, BYTES] += length
        else:
            tallies[interface, tally, OVER_LIMIT] += 1

        times[ring] = _oldest(words, base, mask, heads[ring], cursors, ring)
        _sift_down(heap, 0, times)

    return written


@loop
def _keep(pieces: Longs, state: Longs, at: int, base: int, begin: int, count: int, size: int) -> None:
    """Add `count` words of a ring from `begin` on as a piece, or as two pieces around the end of the ring."""
    while count > 0:
        part = min(count, size - begin)
        piece = pieces[state[PIECES]]
        piece[PIECE_AT] = at
        piece[PIECE_FROM] = base + begin
        piece[PIECE_WORDS] = part
        state[PIECES] += 1
        state[PIECED] += part
        begin, count = 0, count - part


@loop
def release(longs: Longs, stride: int, cursors: Longs) -> None:
    """Return the memory of merged records to the kernel: set data_tail of each ring to its cursor."""
    _fence()
    for ring in range(len(cursors)):
        longs[ring * stride // 8 + _TAIL] = cursors[ring, RECORD_AT]


def compiled() -> None:
    """Compile the loops, or load them from the cache; call this before packets flow."""
    words = np.zeros(1024 + 1024, np.uint32)
    heads = np.zeros(1, np.int64)
    longs = words.view(np.int64)
    snapshot(longs, 8192, heads)
    states = np.zeros((1, BATCH_STATE.itemsize // 8), np.int64)
    states.flags.writeable = False
    oldest_waiting(states)
    state, tallies = np.zeros(STATE_SLOTS, np.int64), np.zeros((1, FLAG_SETS, TALLY_COLUMNS), np.int64)
    cursors = np.zeros((1, CURSOR_COLUMNS), np.int64)
    pieces = np.zeros((PIECES_MOST, PIECE_COLUMNS), np.int64)
    merge(words, longs, 8192, 4096, heads, cursors, NEVER, 0, np.zeros(1, np.uint32), pieces, state, tallies)
    release(longs, 8192, cursors)


def parts(blocks: memoryview, rings: memoryview, pieces: Longs) -> list[memoryview]:
    """Return blocks and pieces of rings as bytes, in the order in which to write them."""
    parts, done = [], 0
    for at, start, count in (pieces * 4).tolist():
        if at > done:
            parts.append(blocks[done:at])
        parts.append(rings[start : start + count])
        done = at
    parts.append(blocks[done:])
    return parts
