"""Batches of packets that wait on their CPUs -> flushed into the rings, when no packet comes that would do it.

Only its own CPU may change a batch, because softirqs are off there while a program runs. To flush a batch, this
thread moves to that CPU and runs the program there. The state of each batch is read from the map's memory.
"""

import mmap
import os
from collections.abc import Sequence

import numpy as np

from capture.abi import BATCH_STATE
from capture.kernel import syscall
from capture.stream.compiled.cursors import oldest_waiting

_DUMMY_FRAME = bytes(14)


class Batches:
    """The batches of all possible CPUs; `cpus` have a ring each, in their order. `flush_program` is the descriptor of
    flush_waiting."""

    def __init__(self, states_fd: int, flush_program: int, possible: int, cpus: Sequence[int]) -> None:
        self._program = flush_program
        self._memory = mmap.mmap(states_fd, possible * BATCH_STATE.itemsize)
        self.states = np.frombuffer(self._memory, BATCH_STATE)
        self._longs = np.frombuffer(self._memory, np.int64).reshape(possible, -1)
        self.states["has_ring"][list(cpus)] = np.arange(1, len(cpus) + 1)

    def flush(self, before_ns: int) -> int:
        """Flush the batches that have packets older than `before_ns` (CLOCK_MONOTONIC).

        Returns the time of the oldest packet that still waits in a batch, or NEVER.
        """
        oldest: int = oldest_waiting(self._longs)
        if oldest >= before_ns:
            return oldest
        self._flush_on(np.flatnonzero((self.states["used"] > 0) & (self.states["oldest_ns"] < before_ns)).tolist())
        return int(oldest_waiting(self._longs))

    def stamp_with(self, wall_offset_ns: int) -> None:
        """See RecordSource.stamp_with."""
        self.states["wall_offset_ns"] = wall_offset_ns

    def _flush_on(self, cpus: list[int]) -> None:
        home = os.sched_getaffinity(0)
        try:
            for cpu in cpus:
                os.sched_setaffinity(0, {cpu})
                syscall.prog_test_run(self._program, _DUMMY_FRAME)
        finally:
            os.sched_setaffinity(0, home)

    def close(self) -> None:
        """Unmap the states."""
        del self.states, self._longs
        self._memory.close()
