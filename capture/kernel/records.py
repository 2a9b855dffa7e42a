"""The programs and the rings of a plan -> the source of records for the loop over packets (stream.source).

It owns the rings, the view of the batches with the program that flushes them, and the gauge of how hard rings are
pressed, if the plan has measures for that.
"""

import contextlib
import os
from collections.abc import Sequence

from capture.arrays.aliases import Longs
from capture.kernel.batches import Batches
from capture.kernel.counters import possible_cpus
from capture.kernel.pressure import PressureGauge
from capture.kernel.program import Module
from capture.kernel.rings import Rings
from capture.plan import CapturePlan
from capture.sampling.levels import LevelChange


class Records:
    """Complete when it is made, or an error and nothing is left. Raises KernelError, PrivilegeError, OSError."""

    def __init__(self, plan: CapturePlan, module: Module) -> None:
        with contextlib.ExitStack() as stack:
            possible = possible_cpus()
            self._rings = Rings(plan.cpus, plan.ring_bytes, plan.watermark, module.map_fd("rings"))
            stack.callback(self._rings.close)
            flush = module.load("flush_waiting")
            stack.callback(os.close, flush)
            self._batches = Batches(module.map_fd("batch_states"), flush, possible, plan.cpus)
            stack.callback(self._batches.close)
            self._gauge: PressureGauge | None = None
            if plan.sampling.levels.top:
                self._gauge = PressureGauge(module, self._batches, plan.cpus, possible, plan.ring_bytes)
                stack.callback(self._gauge.close)
            self.memory = self._rings.memory
            self.watch, self.wait, self.flush = self._rings.watch, self._rings.wait, self._batches.settle
            self.close = stack.pop_all().close

    def report(self, heads: Longs, read: Longs, now_ns: int) -> None:
        """Tell the programs how many bytes wait in each ring, and see what they did."""
        if self._gauge is not None:
            self._gauge.tell(heads - read, now_ns)

    @property
    def level_changes(self) -> Sequence[LevelChange]:
        """When programs began to leave out more, or less, because of full rings."""
        return self._gauge.changes if self._gauge is not None else ()
