"""Chunks of a recorder's memory, while programs write them -> blocks for a file, in order of time: one compiled loop.

The problem
    Each CPU fills chunks of its own (bpf/lib/remember.h), over and over, and waits for nobody. A reader needs the
    blocks of all CPUs in order of time, and must know exactly which it did not get because they were overwritten.

The invariant
    A cursor stands in a chunk that is readable: at least two numbers above the one that its CPU overwrites next. A
    chunk only grows, and `used` is written after the block, so all before `used` is whole. `READ` counts the blocks
    that a cursor passed, and a chunk's head the packets before it, so their difference is what was overwritten.

Why it is right
    A portion is copied first, and then it is checked that each chunk that was read is still readable. If one is not,
    what was copied may be torn: the portion is thrown away, all cursors go back, that of the overwritten chunk moves
    to the oldest readable one, and the copying begins again. The chunk that is overwritten next is never read, so the
    check does not depend on the order in which a processor shows the writes of another.

What it costs
    Nothing while nobody reads. Then a copy of each block, and a look at the next block of each CPU for a stretch of
    blocks of one CPU: parts are few, and a dump is rare.
"""

from typing import NamedTuple

import numpy as np

from capture.abi import CHUNK_HEAD, INBOUND, OUTBOUND, RECORDER_STATE
from capture.arrays.aliases import Longs, Words
from capture.arrays.jit import borrowing_loop
from capture.stream.compiled.cursors import NEVER, TIME_HIGH_AT, TIME_LOW_AT, word_of
from capture.stream.compiled.merge import CAPTURED_AT, FLAGS_FROM_END, INTERFACE_AT, TOTAL_AT, memcpy

NUMBER, AT, READ, MISSED, SKIPPED, PART_COLUMNS = 0, 1, 2, 3, 4, 5
"""Columns of `parts`, one row for each CPU with memory: number of the chunk and bytes of its blocks that were passed;
then blocks that were passed, those that were overwritten before, and those older than `from_ns`."""
LAST_NS, LATE, LATE_MOST_NS, PACKETS, BYTES_LEFT, CUT, BEFORE, CHUNK_STATE_SLOTS = 0, 1, 2, 3, 4, 5, 6, 7
"""Slots of `state`: time of the last block (ns, CLOCK_MONOTONIC), late blocks, longest delay of one; blocks taken so
far; bytes that may still be taken, and 1 if a block did not fit them; slot from which on interfaces get the next
number in the file, where another interface stands before them, or a number that no slot has."""

_NUMBER_AT, USED_AT = word_of(CHUNK_HEAD, "number", 8), word_of(CHUNK_HEAD, "used", 8)
_PACKETS_AT, FIRST_AT = word_of(CHUNK_HEAD, "packets", 8), word_of(CHUNK_HEAD, "first_ns", 8)
STATE_NUMBER, STATE_FIRST = word_of(RECORDER_STATE, "number", 8), word_of(RECORDER_STATE, "first", 8)
STATE_INDEX, STATE_PACKETS = word_of(RECORDER_STATE, "index", 8), word_of(RECORDER_STATE, "packets", 8)
_HEAD_WORDS = CHUNK_HEAD.itemsize // 4


class Chunks(NamedTuple):
    """The memory of a recorder."""

    words: Words
    """All chunks, uint32. Written by programs."""
    longs: Longs
    """The same memory, int64."""
    states: Longs
    """[possible CPUs, 64-bit words of recorder_state], int64. Written by programs."""
    cpus: Longs
    """[parts]: the CPU of each part."""
    chunks: int
    """Chunks of a part."""
    stride: int
    """Bytes of a chunk with its head."""


@borrowing_loop
def _head(memory: Chunks, part: int, number: int) -> int:
    """Return where the chunk of a number is, in 64-bit words."""
    return (memory.states[memory.cpus[part], STATE_FIRST] + number % memory.chunks) * memory.stride // 8


@borrowing_loop
def oldest_readable(memory: Chunks, part: int) -> int:
    """Return the number of the oldest chunk of a part that is not overwritten next."""
    return max(0, memory.states[memory.cpus[part], STATE_NUMBER] - memory.chunks + 2)


@borrowing_loop
def first_times(memory: Chunks, part: int, times: Longs) -> int:
    """Write the times of the first blocks of a part's readable chunks, oldest first. Returns the chunks."""
    number = oldest_readable(memory, part)
    count = memory.states[memory.cpus[part], STATE_NUMBER] - number + 1
    for at in range(count):
        head = _head(memory, part, number + at)
        times[at] = memory.longs[head + FIRST_AT] if memory.longs[head + _NUMBER_AT] == number + at else 0
    return count


@borrowing_loop
def _move_to(memory: Chunks, parts: Longs, part: int, number: int) -> None:
    """Put a cursor at the beginning of a chunk; what lies between was overwritten."""
    passed = memory.longs[_head(memory, part, number) + _PACKETS_AT]
    parts[part, MISSED] += passed - parts[part, READ]
    parts[part, READ] = passed
    parts[part, NUMBER], parts[part, AT] = number, 0


@borrowing_loop
def next_in(memory: Chunks, parts: Longs, part: int) -> int:
    """Return the time of a part's next block, NEVER if there is none yet. Moves the cursor over ends of chunks."""
    while True:
        number = parts[part, NUMBER]
        newest = memory.states[memory.cpus[part], STATE_NUMBER]
        if number < newest - memory.chunks + 2:
            _move_to(memory, parts, part, newest - memory.chunks + 2)
            continue
        head = _head(memory, part, number)
        if parts[part, AT] < memory.longs[head + USED_AT]:
            at = 2 * head + _HEAD_WORDS + parts[part, AT] // 4
            return np.int64(memory.words[at + TIME_HIGH_AT]) << 32 | np.int64(memory.words[at + TIME_LOW_AT])
        if number == newest:
            return NEVER
        if parts[part, AT] < memory.longs[head + USED_AT]:  # written between the two looks
            continue
        parts[part, NUMBER], parts[part, AT] = number + 1, 0


@borrowing_loop
def seek(memory: Chunks, parts: Longs, from_ns: int) -> None:
    """Put the cursors into the chunks that hold the time `from_ns`, or at the oldest readable ones."""
    for part in range(len(parts)):
        number = oldest_readable(memory, part)
        newest = memory.states[memory.cpus[part], STATE_NUMBER]
        while number < newest and memory.longs[_head(memory, part, number + 1) + FIRST_AT] < from_ns:
            number += 1
        head = _head(memory, part, number)
        parts[part, NUMBER], parts[part, AT] = number, 0
        parts[part, READ] = memory.longs[head + _PACKETS_AT]
        parts[part, MISSED] = parts[part, SKIPPED] = 0


@borrowing_loop
def _fill(
    memory: Chunks,
    parts: Longs,
    times: Longs,
    from_ns: int,
    until_ns: int,
    offset_ns: int,
    out: Words,
    moved: Longs,
    state: Longs,
) -> int:
    """Copy blocks in order of time; see take(). Returns words."""
    filled = 0
    for part in range(len(parts)):
        times[part] = next_in(memory, parts, part)
    while True:
        part, time, other = 0, NEVER, NEVER
        for one in range(len(times)):
            if times[one] < time:
                part, time, other = one, times[one], time
            elif times[one] < other:
                other = times[one]
        if time >= until_ns:
            return filled
        while time <= other and time < until_ns:
            at = 2 * _head(memory, part, parts[part, NUMBER]) + _HEAD_WORDS + parts[part, AT] // 4
            total = np.int64(memory.words[at + TOTAL_AT])
            words = total // 4
            if words < 11 or words > len(out):  # torn: the check of the portion finds it
                return filled
            if time >= from_ns:
                if filled + words > len(out):
                    return filled
                if total > state[BYTES_LEFT]:
                    state[CUT] = 1
                    return filled
                memcpy(out.ctypes.data + 4 * filled, memory.words.ctypes.data + 4 * at, total)
                if time < state[LAST_NS]:
                    state[LATE] += 1
                    state[LATE_MOST_NS] = max(state[LATE_MOST_NS], state[LAST_NS] - time)
                else:
                    state[LAST_NS] = time
                wall = state[LAST_NS] + offset_ns
                out[filled + TIME_HIGH_AT], out[filled + TIME_LOW_AT] = wall >> 32, wall & 0xFFFFFFFF
                flags = np.int64(out[filled + words - FLAGS_FROM_END])
                out[filled + words - FLAGS_FROM_END] = flags & (INBOUND | OUTBOUND)
                interface = out[filled + INTERFACE_AT]
                if interface >= state[BEFORE]:
                    out[filled + INTERFACE_AT] = interface + 1
                if interface < len(moved):
                    moved[interface, flags & 7, 0] += 1
                    moved[interface, flags & 7, 1] += out[filled + CAPTURED_AT]
                filled += words
                state[PACKETS] += 1
                state[BYTES_LEFT] -= total
            else:
                parts[part, SKIPPED] += 1
            parts[part, AT] += total
            parts[part, READ] += 1
            time = next_in(memory, parts, part)
        times[part] = time


@borrowing_loop
def take(
    memory: Chunks,
    parts: Longs,
    saved: Longs,
    times: Longs,
    from_ns: int,
    until_ns: int,
    offset_ns: int,
    out: Words,
    moved: Longs,
    moved_before: Longs,
    state: Longs,
    state_before: Longs,
) -> int:
    """Copy the blocks of times from `from_ns` to before `until_ns` into `out`, in order. Returns bytes; 0: no more.

    parts           [parts, PART_COLUMNS], the cursors; see `seek`.
    offset_ns       wall-clock time minus CLOCK_MONOTONIC, for the times of the blocks.
    moved           [interfaces, 8, 3]: packets and bytes by flags, as in merge. Added to here.
    saved, times, moved_before, state_before    scratch, of the shapes of parts, [parts], moved, state.
    """
    while True:
        memcpy(saved.ctypes.data, parts.ctypes.data, parts.nbytes)
        memcpy(moved_before.ctypes.data, moved.ctypes.data, moved.nbytes)
        memcpy(state_before.ctypes.data, state.ctypes.data, state.nbytes)
        filled = _fill(memory, parts, times, from_ns, until_ns, offset_ns, out, moved, state)
        torn = False
        for part in range(len(parts)):
            if saved[part, NUMBER] < oldest_readable(memory, part) and parts[part, READ] > saved[part, READ]:
                torn = True
        if not torn:
            return 4 * filled
        memcpy(moved.ctypes.data, moved_before.ctypes.data, moved.nbytes)
        memcpy(state.ctypes.data, state_before.ctypes.data, state.nbytes)
        memcpy(parts.ctypes.data, saved.ctypes.data, parts.nbytes)
        for part in range(len(parts)):
            number = oldest_readable(memory, part)
            if parts[part, NUMBER] < number:
                _move_to(memory, parts, part, number)
