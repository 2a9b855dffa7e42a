"""Records that wait on their CPUs to be submitted together -> into the rings, when no packet pushes them.

A batch may only be touched on its own CPU, where softirqs are off while a program runs: to flush one, this
thread goes to that CPU and runs the program there.
"""

import ctypes
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.kernel import syscall
from capture.kernel.counters import possible_cpus
from capture.stream.layout import BATCH_STATE
from capture.stream.merge import NEVER

_DUMMY_FRAME = bytes(14)


def can_visit(cpus: Iterable[int]) -> bool:
    """Whether this thread may run on each of the CPUs: a cpuset can forbid it."""
    home = os.sched_getaffinity(0)
    try:
        for cpu in cpus:
            os.sched_setaffinity(0, {cpu})
    except OSError:
        return False
    finally:
        os.sched_setaffinity(0, home)
    return True


class Batches:
    """The batches of all CPUs; `flush_program` is bpf/capture.c's flush_waiting."""

    def __init__(self, states_fd: int, flush_program: int) -> None:
        self._states_fd, self._program = states_fd, flush_program
        self._buffer = ctypes.create_string_buffer(BATCH_STATE.itemsize * possible_cpus())

    def read(self) -> npt.NDArray[Any]:
        """Array [possible CPUs] of BATCH_STATE."""
        syscall.map_lookup(self._states_fd, 0, self._buffer)
        return np.frombuffer(self._buffer.raw, BATCH_STATE)

    def lost(self) -> dict[str, int]:
        """Records lost so far, by reason."""
        states = self.read()
        return {name: int(states[f"lost_{name}"].sum()) for name in ("ring_full", "other")}

    def settle(self, before_ns: int) -> int:
        """Flush batches with records older than `before_ns`; the time of the oldest that still waits, or NEVER."""
        states = self.read()
        waiting = states["used"] > 0
        if not waiting.any():
            return NEVER
        stale = np.flatnonzero(waiting & (states["oldest_ns"] < before_ns))
        if len(stale):
            self._flush(stale.tolist())
            states = self.read()
            waiting = states["used"] > 0
        return int(states["oldest_ns"][waiting].min()) if waiting.any() else NEVER

    def _flush(self, cpus: list[int]) -> None:
        home = os.sched_getaffinity(0)
        try:
            for cpu in cpus:
                os.sched_setaffinity(0, {cpu})
                syscall.prog_test_run(self._program, _DUMMY_FRAME)
        finally:
            os.sched_setaffinity(0, home)
