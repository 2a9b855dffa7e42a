"""The reader's position in the rings -> the programs, which keep less while rings fill; and the changes of the level.

Programs raise the level of pressure at once, also while this process waits for a disk. The level is lowered here, by
one at a time, when rings have been nearly empty for a while.
"""

import mmap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from capture.abi import PRESSURE
from capture.kernel.batches import Batches
from capture.kernel.program import Module
from capture.sampling.levels import LevelChange

CALM_NS = 1_000_000_000
"""Time for which less than an eighth of what a CPU can get must be full before the level is lowered by one, ns."""
CHANGES_KEPT = 1000
"""Most changes of the level that are recorded."""


class PressureGauge:
    """The maps that reader and programs share; `changes` are those of the level, as far as they were noticed."""

    def __init__(self, module: Module, batches: Batches, cpus: Sequence[int], possible: int, room_bytes: int) -> None:
        self._batches, self._cpus, self._calm_bytes = batches, np.array(cpus), room_bytes // 8
        self._maps = [mmap.mmap(module.map_fd(name), size) for name, size in (
            ("pressure", PRESSURE.itemsize), ("read_until", possible * 8),
        )]  # fmt: skip
        self._state = np.frombuffer(self._maps[0], PRESSURE)
        self._read_until = np.frombuffer(self._maps[1], np.uint64)
        self._pressed_ns = 0
        self.changes: list[LevelChange] = []

    def report(self, waiting: npt.NDArray[np.int64], now_ns: int) -> None:
        """Report to the programs the bytes that wait in each ring, and record changes of the level.

        `waiting` is [lanes], int64, bytes; `now_ns` is CLOCK_MONOTONIC.
        """
        own, overflow = waiting[: len(self._cpus)].astype(np.uint64), waiting[len(self._cpus) :].max(initial=0)
        self._read_until[self._cpus] = self._batches.states["submitted"][self._cpus] - own
        # As arrays, which wrap: a record may be there and not be counted yet.
        self._state["overflow_read"] = self._state["overflowed"] - np.array([overflow], np.uint64)
        level = int(self._state["level"][0])
        self._note(int(self._state["changed_ns"][0]), level)
        if int(own.max()) + int(overflow) > self._calm_bytes:
            self._pressed_ns = now_ns
        elif level and now_ns - max(self._pressed_ns, self.changes[-1].at_ns) > CALM_NS:
            self._state["changed_ns"][0] = now_ns
            self._state["level"][0] = level - 1
            self._note(now_ns, level - 1)

    def _note(self, at_ns: int, level: int) -> None:
        before = self.changes[-1].level if self.changes else 0
        if level != before and len(self.changes) < CHANGES_KEPT:
            self.changes.append(LevelChange(at_ns, level))

    def close(self) -> None:
        """Unmap the maps."""
        del self._state, self._read_until
        for memory in self._maps:
            memory.close()
