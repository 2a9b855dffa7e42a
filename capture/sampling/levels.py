"""Measures to take while rings fill, in order -> levels of pressure, and the meaning of each level."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

HALVES = 6
"""Most times that the share of conversations is halved."""


class OnPressure(Enum):
    """Measures: leave out payload; keep a smaller share of conversations; none: packets are lost, and counted."""

    TRUNCATE = "truncate"
    SAMPLE = "sample"
    LOSE = "lose"


@dataclass(frozen=True, slots=True)
class PressureLevels:
    """The levels from which payload is cut and flows are sampled; 0 is never.

    A ring that is half full is level 1, a full one `top`.
    """

    cuts_from: int
    samples_from: int

    @property
    def top(self) -> int:
        return max(self.cuts_from, self.samples_from + HALVES - 1 if self.samples_from else 0)

    def words(self, level: int, flow_share: float = 1.0) -> str:
        """Return a text that says what is kept at a level."""
        parts = []
        if self.cuts_from and level >= self.cuts_from:
            parts.append("headers only")
        if self.samples_from and level >= self.samples_from:
            halves = min(level - self.samples_from + 1, HALVES)
            parts.append(f"{flow_share / 2**halves:.3g} of conversations")
        return " and ".join(parts) or "everything again"


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A new level, from a time (CLOCK_MONOTONIC) on; 0 is no pressure."""

    at_ns: int
    level: int


def pressure_levels(measures: Sequence[OnPressure]) -> PressureLevels:
    """Return the levels for measures, in the order in which they are taken."""
    cuts_from = samples_from = 0
    level = 1
    for measure in measures:
        if measure is OnPressure.TRUNCATE:
            cuts_from = level
            level += 1
        elif measure is OnPressure.SAMPLE:
            samples_from = level
            level += HALVES
    return PressureLevels(cuts_from, samples_from)
