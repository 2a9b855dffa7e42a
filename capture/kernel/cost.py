"""Run-time statistics of our programs -> nanoseconds per packet in the kernel.

Timing costs each run of every BPF program on the machine two clock readings, so it is on at the beginning
of a capture only.
"""

import contextlib
import os
from collections.abc import Sequence

from capture.kernel import syscall

ENOUGH_RUNS = 10_000
LONGEST_NS = 10 * 10**9


class KernelCost:
    """Measures programs, which come and go, from `start` until it knows enough."""

    def __init__(self) -> None:
        self._programs: list[int] = []
        self._gone = 0, 0
        self._ends_ns: int | None = None
        self._switch = -1

    def start(self) -> None:
        """Have the kernel time programs."""
        with contextlib.suppress(OSError):  # before Linux 5.8, or not allowed: the capture works without
            self._switch = syscall.enable_run_time_stats()

    def come(self, programs: Sequence[int]) -> None:
        """Measure these, too."""
        self._programs += programs

    def go(self, programs: Sequence[int]) -> None:
        """Nothing more comes to these; what they took still counts."""
        self._gone = self._totals(programs)
        self._programs = [program for program in self._programs if program not in programs]

    @property
    def measuring(self) -> bool:
        """Whether the kernel is timing programs."""
        return self._switch >= 0

    def tick(self, now_ns: int) -> None:
        """Call now and then: ends the measurement when it has seen enough packets, or waited long enough."""
        if self._switch < 0:
            return
        if self._ends_ns is None:
            self._ends_ns = now_ns + LONGEST_NS
        if now_ns >= self._ends_ns or self._totals(self._programs)[1] >= ENOUGH_RUNS:
            self.stop()

    def stop(self) -> None:
        """End the measurement."""
        if self._switch >= 0:
            os.close(self._switch)
            self._switch = -1

    def ns_per_packet(self) -> float | None:
        """The mean of what was timed, None if nothing was."""
        run_time, runs = self._totals(self._programs)
        return run_time / runs if runs else None

    def _totals(self, programs: Sequence[int]) -> tuple[int, int]:
        """Time and runs of programs, and of those that went."""
        stats = [syscall.prog_stats(program) for program in programs]
        run_time, runs = self._gone
        return run_time + sum(s.run_time_ns for s in stats), runs + sum(s.runs for s in stats)
