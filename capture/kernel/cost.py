"""Run-time statistics of our programs -> nanoseconds per packet in the kernel.

While the kernel times programs, each run of every BPF program on the machine costs two more clock readings. So timing
is on only at the beginning of a capture.
"""

import contextlib
import os
from collections.abc import Sequence

from capture.kernel import syscall

ENOUGH_RUNS = 10_000
"""Runs of programs after which the measurement ends."""
LONGEST_NS = 10 * 10**9
"""Longest measurement, ns."""


class KernelCost:
    """Measures programs from `start` until ENOUGH_RUNS or LONGEST_NS; programs may be added and removed meanwhile."""

    def __init__(self) -> None:
        self._programs: list[int] = []
        self._gone = 0, 0
        self._ends_ns: int | None = None
        self._switch = -1

    def start(self) -> None:
        """Have the kernel time programs."""
        with contextlib.suppress(OSError):  # before Linux 5.8, or not allowed: the capture works without
            self._switch = syscall.enable_run_time_stats()

    def add(self, programs: Sequence[int]) -> None:
        """Measure these programs, too."""
        self._programs += programs

    def remove(self, programs: Sequence[int]) -> None:
        """Stop reading these programs, which will be closed; their time so far still counts."""
        self._gone = self._totals(programs)
        self._programs = [program for program in self._programs if program not in programs]

    @property
    def measuring(self) -> bool:
        """True while the kernel times programs."""
        return self._switch >= 0

    def tick(self, now_ns: int) -> None:
        """End the measurement if there were enough runs, or if it has lasted long enough; call this regularly."""
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
        """Return the mean time of a run, None if none was timed."""
        run_time, runs = self._totals(self._programs)
        return run_time / runs if runs else None

    def _totals(self, programs: Sequence[int]) -> tuple[int, int]:
        """Return time (ns) and runs of these programs and of those removed."""
        stats = [syscall.prog_stats(program) for program in programs]
        run_time, runs = self._gone
        return run_time + sum(s.run_time_ns for s in stats), runs + sum(s.runs for s in stats)
