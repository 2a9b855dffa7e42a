"""Run-time statistics of our programs -> nanoseconds per packet in the kernel.

Timing costs each run of every BPF program on the machine two clock readings, so it is on for a slice of the
capture only.
"""

import os
from collections.abc import Sequence

from capture.kernel import syscall

SLICE_NS = 10**9


class KernelCost:
    """Measures the programs while the slice lasts."""

    def __init__(self, programs: Sequence[int]) -> None:
        self._programs = programs
        self._ends_ns: int | None = None
        try:
            self._switch = syscall.enable_run_time_stats()
        except OSError:  # before Linux 5.8, or not allowed: the capture works without
            self._switch = -1

    def tick(self, now_ns: int, seen: bool) -> None:
        """Call now and then; the slice begins with the first packet."""
        if self._switch < 0:
            return
        if self._ends_ns is None and seen:
            self._ends_ns = now_ns + SLICE_NS
        elif self._ends_ns is not None and now_ns >= self._ends_ns:
            self.stop()

    def stop(self) -> None:
        """End the slice."""
        if self._switch >= 0:
            os.close(self._switch)
            self._switch = -1

    def ns_per_packet(self) -> float | None:
        """The mean over the slice, None if nothing was timed."""
        stats = [syscall.prog_stats(program) for program in self._programs]
        runs = sum(s.runs for s in stats)
        return sum(s.run_time_ns for s in stats) / runs if runs else None
