"""The programs and the rings of a plan -> the source of records for the loop over packets (stream.source).

The source owns the rings, the states of the batches with the program that flushes them, and the gauge of the pressure
on the rings, if the plan has measures for that.
"""

import contextlib
import os
from collections.abc import Sequence

from capture.arrays.aliases import Longs
from capture.kernel.batches import Batches
from capture.kernel.counters import possible_cpus
from capture.kernel.pressure import PressureGauge
from capture.kernel.program import Module
from capture.kernel.rings import Overflow, Rings
from capture.plan import CapturePlan
from capture.sampling.levels import LevelChange


class Records:
    """The records of a running capture. A constructor that fails leaves nothing open.

    Raises KernelError, PrivilegeError, OSError.
    """

    def __init__(self, plan: CapturePlan, module: Module) -> None:
        with contextlib.ExitStack() as stack:
            possible = possible_cpus()
            overflow = Overflow(module.map_fd("overflow"), plan.overflow_bytes) if plan.overflow_bytes else None
            self._rings = Rings(plan.cpus, plan.ring_bytes, plan.watermark, module.map_fd("rings"), overflow)
            stack.callback(self._rings.close)
            flush = module.load("flush_waiting")
            stack.callback(os.close, flush)
            self._batches = Batches(module.map_fd("batch_states"), flush, possible, plan.cpus)
            stack.callback(self._batches.close)
            self._gauge: PressureGauge | None = None
            if plan.sampling.levels.top:
                self._gauge = PressureGauge(module, self._batches, plan.cpus, possible, plan.room_bytes)
                stack.callback(self._gauge.close)
            self.memory = self._rings.memory
            self.watch, self.wait = self._rings.watch, self._rings.wait
            self.flush, self.stamp_with = self._batches.flush, self._batches.stamp_with
            self.close = stack.pop_all().close

    def report(self, heads: Longs, read: Longs, now_ns: int) -> None:
        """Report to the programs the bytes that wait in each ring; see RecordSource.report."""
        if self._gauge is not None:
            self._gauge.report(heads - read, now_ns)

    @property
    def level_changes(self) -> Sequence[LevelChange]:
        """The changes of the level of pressure so far, at which programs began to keep less or more."""
        return self._gauge.changes if self._gauge is not None else ()
