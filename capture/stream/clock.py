"""CLOCK_MONOTONIC of the programs -> wall-clock time of the file, and when a record may be written.

The kernel slews both clocks alike, so their difference changes only when somebody sets the time or the machine
was suspended. It is measured again and again; a step forward is followed at once, a step backward only in the
next file, because times in a file never decrease. Both are kept for the summary. Clock readings come in as
arguments: no clock is read here.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

STEP_NS = 100_000
"""Smaller differences are the error of the measurement: the three readings are not simultaneous."""
SETTLE_NS = 1_000_000
"""How long a program may take from reading the clock to committing its record; paused vCPUs take long."""


def wall_offset(samples: Iterable[tuple[int, int, int]]) -> int:
    """Wall minus monotonic time (ns) from readings (monotonic, wall, monotonic): the tightest one counts."""
    before, wall, after = min(samples, key=lambda sample: sample[2] - sample[0])
    return wall - (before + after) // 2


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock was set: by how much, seen at which monotonic time, and whether the file follows it."""

    at_ns: int
    step_ns: int
    followed: bool


class WallClock:
    """The offset a file is written with, and the steps that were seen; `state` says how well the clock is kept."""

    def __init__(self, offset_ns: int, state: str = "unknown") -> None:
        self.offset_ns, self.state = offset_ns, state
        self._true_offset_ns = offset_ns
        self.steps: list[ClockStep] = []

    def measured(self, offset_ns: int, at_ns: int) -> None:
        """Take note of a new measurement."""
        step = offset_ns - self._true_offset_ns
        if abs(step) < STEP_NS:
            return
        self._true_offset_ns = offset_ns
        followed = offset_ns > self.offset_ns
        self.steps.append(ClockStep(at_ns, step, followed))
        if followed:
            self.offset_ns = offset_ns

    def new_file(self) -> None:
        """A new file may follow a step backward."""
        self.offset_ns = self._true_offset_ns


class Rounds:
    """Decides what is final: rings are read in rounds, and each round reads the clock after the rings' heads.

    A record that is older than an earlier round's reading was begun before that round, and is in its ring by
    now unless its CPU stood still for the whole time between.
    """

    def __init__(self) -> None:
        self._readings: deque[int] = deque()
        self._final_ns = 0

    def final_before(self, now_ns: int) -> int:
        """The time before which this round's records are complete; `now_ns` was read after the heads."""
        while self._readings and self._readings[0] <= now_ns - SETTLE_NS:
            self._final_ns = self._readings.popleft()
        self._readings.append(now_ns)
        return self._final_ns
