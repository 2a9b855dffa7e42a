"""The memory of a recorder -> portions of blocks from one time on, and how far back it reaches. No I/O here."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from capture.arrays.aliases import Longs, Words
from capture.stream.compiled import chunks
from capture.stream.compiled.chunks import Chunks

_OUT_WORDS = 1 << 17
"""Words of a portion: 512 KiB, more than the largest block."""
_NO_SLOT = 1 << 40


@dataclass(frozen=True, slots=True)
class ChunkArrays:
    """The memory of a recorder as arrays; see compiled.chunks.Chunks."""

    words: Words
    longs: Longs
    states: Longs
    cpus: Longs
    chunks: int
    stride: int

    chunk_bytes: int
    """Bytes of blocks in a full chunk, at least."""

    @property
    def readable_bytes(self) -> int:
        """Bytes of blocks of one CPU that can be read once its memory is full, at least."""
        return (self.chunks - 2) * self.chunk_bytes

    @property
    def compiled(self) -> Chunks:
        """The same for compiled loops."""
        return Chunks(self.words, self.longs, self.states, self.cpus, self.chunks, self.stride)


class Remembered:
    """A reader of the memory, from `from_ns` (CLOCK_MONOTONIC) on; several may read at a time.

    At most `most` bytes of blocks are taken; `interfaces` is their number now.
    """

    def __init__(self, memory: ChunkArrays, from_ns: int, interfaces: int, most: int = 1 << 62) -> None:
        self._memory, self.from_ns = memory.compiled, from_ns
        parts = len(memory.cpus)
        self._parts = np.zeros((parts, chunks.PART_COLUMNS), np.int64)
        self._saved, self._times = self._parts.copy(), np.zeros(parts, np.int64)
        self._state = np.zeros(chunks.CHUNK_STATE_SLOTS, np.int64)
        self._state[chunks.BYTES_LEFT] = most
        self._state[chunks.BEFORE] = _NO_SLOT
        self._out = np.zeros(_OUT_WORDS, np.uint32)
        self.moved: npt.NDArray[np.int64] = np.zeros((interfaces, 8, 3), np.int64)
        """[interfaces, flags, (packets, bytes, 0)], int64: blocks taken so far; rows as in run.ledger."""
        chunks.seek(self._memory, self._parts, from_ns)

    def stand_before(self, slot: int) -> None:
        """Leave the number of this slot in the file to another interface: those from it on get the next one."""
        self._state[chunks.BEFORE] = slot

    def grow(self, interfaces: int) -> None:
        """Make room in `moved`."""
        self.moved = np.pad(self.moved, ((0, interfaces - len(self.moved)), (0, 0), (0, 0)))

    def take(self, until_ns: int, offset_ns: int) -> npt.NDArray[np.uint8]:
        """Return the next blocks before `until_ns` in order of time, at most a portion; empty: no more now.

        `offset_ns` is wall-clock minus monotonic time. The bytes are valid until the next call.
        """
        size = chunks.take(
            self._memory,
            self._parts,
            self._saved,
            self._times,
            self.from_ns,
            until_ns,
            offset_ns,
            self._out,
            self.moved,
            self.moved.copy(),
            self._state,
            self._state.copy(),
        )
        return self._out.view(np.uint8)[:size]

    @property
    def packets(self) -> int:
        """Blocks taken so far."""
        return int(self._state[chunks.PACKETS])

    @property
    def overwritten(self) -> int:
        """Packets that were overwritten before they could be read."""
        return int(self._parts[:, chunks.MISSED].sum())

    @property
    def cut(self) -> bool:
        """True if a block did not fit the bytes that may be taken."""
        return bool(self._state[chunks.CUT])

    @property
    def late(self) -> int:
        """Packets with the time of the one before, because they were older."""
        return int(self._state[chunks.LATE])


def reaches_since(memory: ChunkArrays) -> int:
    """Return the time (CLOCK_MONOTONIC, ns) since which the memory has every packet; 0 if nothing was overwritten."""
    times, since = np.zeros(memory.chunks, np.int64), 0
    for part, cpu in enumerate(memory.cpus.tolist()):
        if memory.states[cpu, chunks.STATE_NUMBER] > memory.chunks - 2:
            chunks.first_times(memory.compiled, part, times)
            since = max(since, int(times[0]))
    return since


def filled_bytes(memory: ChunkArrays) -> npt.NDArray[np.int64]:
    """Return the bytes of blocks that each CPU has remembered so far, to within the room behind full chunks."""
    filled = np.zeros(len(memory.cpus), np.int64)
    for part, cpu in enumerate(memory.cpus.tolist()):
        number, index = memory.states[cpu, chunks.STATE_NUMBER], memory.states[cpu, chunks.STATE_INDEX]
        used = memory.longs[index * memory.stride // 8 + chunks.USED_AT]
        filled[part] = number * memory.chunk_bytes + used
    return filled


def packets_so_far(memory: ChunkArrays) -> int:
    """Return the number of packets that all CPUs have remembered so far."""
    return int(memory.states[memory.cpus, chunks.STATE_PACKETS].sum())


def compiled() -> None:
    """Compile the loops, or load them from the cache."""
    nothing = np.zeros(64, np.int64)
    nothing.flags.writeable = False
    memory = ChunkArrays(
        nothing.view(np.uint32),
        nothing,
        np.zeros((1, 8), np.int64),
        np.zeros(1, np.int64),
        chunks=4,
        stride=64,
        chunk_bytes=32,
    )
    Remembered(memory, 0, 1).take(0, 0)
    reaches_since(memory)
    chunks.first_times(memory.compiled, 0, np.zeros(4, np.int64))
