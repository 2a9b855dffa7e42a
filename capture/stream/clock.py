"""CLOCK_MONOTONIC of the programs -> wall-clock time of the file, and the time before which records are final.

The kernel slews both clocks alike, so their difference changes only when somebody sets the time or the machine was
suspended. It is measured regularly. A step forward is followed at once, a step backward only in the next file,
because times in a file never decrease. Both are recorded for the summary. Clock readings are arguments: no clock is
read here.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

STEP_NS = 100_000
"""Smallest difference that counts as a step, ns: the three readings are not simultaneous, so smaller differences are
errors of the measurement."""
SETTLE_NS = 1_000_000
"""Time that a program is given from reading the clock to committing its record, ns; a paused vCPU may take longer."""


def wall_offset(samples: Iterable[tuple[int, int, int]]) -> int:
    """Return wall minus monotonic time, ns, from readings (monotonic, wall, monotonic): from the tightest of them."""
    before, wall, after = min(samples, key=lambda sample: sample[2] - sample[0])
    return wall - (before + after) // 2


@dataclass(frozen=True, slots=True)
class ClockStep:
    """A step of the wall clock: monotonic time at which it was noticed, size, and True if the file follows it."""

    at_ns: int
    step_ns: int
    followed: bool


class WallClock:
    """The offset with which a file is written, and the steps so far; `state` describes the clock's
    synchronisation."""

    def __init__(self, offset_ns: int, state: str = "unknown") -> None:
        self.offset_ns, self.state = offset_ns, state
        self._true_offset_ns = offset_ns
        self.steps: list[ClockStep] = []

    def measured(self, offset_ns: int, at_ns: int) -> None:
        """Record a new measurement of the offset, made at CLOCK_MONOTONIC `at_ns`."""
        step = offset_ns - self._true_offset_ns
        if abs(step) < STEP_NS:
            return
        self._true_offset_ns = offset_ns
        followed = offset_ns > self.offset_ns
        self.steps.append(ClockStep(at_ns, step, followed))
        if followed:
            self.offset_ns = offset_ns

    def new_file(self) -> None:
        """Begin a new file, which may follow a step backward."""
        self.offset_ns = self._true_offset_ns


class Rounds:
    """Decides which records are final. Rings are read in rounds, and each round reads the clock after the rings'
    heads.

    A record that is older than the reading of an earlier round was begun before that round, and is in its ring by
    now, unless its CPU stood still for the whole time between.
    """

    def __init__(self) -> None:
        self._readings: deque[int] = deque()
        self._final_ns = 0

    def final_before(self, now_ns: int) -> int:
        """Return the time before which the records of this round are complete; `now_ns` was read after the heads."""
        while self._readings and self._readings[0] <= now_ns - SETTLE_NS:
            self._final_ns = self._readings.popleft()
        self._readings.append(now_ns)
        return self._final_ns
