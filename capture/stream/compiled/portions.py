"""Runs of blocks in all rings -> the file, portion by portion in one compiled call; or pieces for another output.

A round in Python costs some 50 µs with cold caches, as much as merging and writing a portion does. So a file's
descriptor is written to from here, and Python hears of up to PORTIONS_MOST portions at once. A write that fails, or
takes less than all, is left to Python, which repeats it from the same place and finds the error (sink.output_file).
"""

import ctypes

import numpy as np

from capture.abi import BATCH_STATE
from capture.arrays.aliases import Longs
from capture.arrays.jit import borrowing_loop, c_function
from capture.stream.compiled import merge
from capture.stream.compiled.cursors import (
    CURSOR_COLUMNS,
    OVERFLOW_SLOTS,
    RingCursors,
    oldest_waiting,
    release,
    snapshot,
)
from capture.stream.compiled.merge import FLAG_SETS, PORTION, TALLY_COLUMNS, Loop
from capture.stream.source import RingMemory

PORTIONS_MOST = 16
"""Most portions of one call: a few milliseconds, after which signals, limits and new pods are looked at."""
NO_DESCRIPTOR = -1
NO_FILE = (NO_DESCRIPTOR, 0)

_pwritev = c_function("pwritev", "int64", "int32", "int64", "int32", "int64")


@borrowing_loop
def write_portions(
    loop: Loop, final_ns: int, wall_offset_ns: int, moved: Longs, before: Longs, file: tuple[int, int], most: int
) -> tuple[int, int, int]:
    """Move blocks older than `final_ns` from the rings to a file. Returns (portions, their bytes, bytes that wait).

    Ends when nothing more is final, or a file is full; and with one portion unwritten if there is NO_FILE, or a
    write did not take it whole. Rings are released as far as they are written.

    moved, before   [interfaces, FLAG_SETS, TALLY_COLUMNS], int64: what was moved so far, and before the last portion.
    file            descriptor, and position in bytes.
    most            portions.
    """
    descriptor, position = file
    written = size = count = 0
    while count < most:
        merge.memcpy(before.ctypes.data, moved.ctypes.data, moved.nbytes)
        size = merge.merge(loop, final_ns, wall_offset_ns, moved)
        if size and (
            descriptor == NO_DESCRIPTOR
            or _pwritev(descriptor, loop.pieces_at, loop.state[merge.PIECES], position + written) != size
        ):
            return count, written, size
        release(loop.rings)
        if size == 0:
            break
        written += size
        count += 1
        if size < PORTION:
            break
    return count, written, 0


def loop_over(memory: RingMemory, state: Longs) -> Loop:
    """Return what the loop works on; `state` is that of run.limits."""
    lanes = memory.lanes
    out, pieces = np.empty(merge.OUT_WORDS, np.uint32), np.zeros((merge.PIECES_MOST, 2), np.int64)
    return Loop(
        rings=RingCursors(
            words=memory.words,
            longs=memory.longs,
            stride=memory.stride,
            page=memory.page,
            rings=memory.rings,
            overflow_bytes=memory.overflow_bytes,
            overflow=np.zeros(OVERFLOW_SLOTS, np.int64),
            heads=np.zeros(lanes, np.int64),
            cursors=np.zeros((lanes, CURSOR_COLUMNS), np.int64),
        ),
        rings_at=memory.words.ctypes.data,
        times=np.zeros(lanes, np.int64),
        heap=np.zeros(lanes, np.int64),
        out=out,
        out_at=out.ctypes.data,
        pieces=pieces,
        pieces_at=pieces.ctypes.data,
        state=state,
    )


def parts(loop: Loop) -> list[memoryview]:
    """Return the pieces of a portion that waits to be written, in their order; valid until the rings are released."""
    pieces = loop.pieces[: loop.state[merge.PIECES]].tolist()
    return [memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B") for address, size in pieces]


def compiled() -> None:
    """Compile the loops, or load them from the cache; call this before packets flow."""
    states = np.zeros((1, BATCH_STATE.itemsize // 8), np.int64)
    states.flags.writeable = False
    oldest_waiting(states)
    longs = np.zeros(1024, np.int64)
    memory = RingMemory(longs.view(np.uint32), longs, stride=8192, page=4096)
    loop = loop_over(memory, np.zeros(merge.STATE_SLOTS, np.int64))
    tallies = np.zeros((1, FLAG_SETS, TALLY_COLUMNS), np.int64)
    snapshot(loop.rings)
    release(loop.rings)
    write_portions(loop, 0, 0, tallies, tallies.copy(), NO_FILE, 1)
