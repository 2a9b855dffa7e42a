"""What is done while rings fill, in the order wanted -> levels of pressure, and which of them means what."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

HALVES = 6
"""So many times the share of conversations is halved at most."""


class OnPressure(Enum):
    """Leave payload out; keep a smaller share of conversations; nothing: what finds no room is lost and counted."""

    TRUNCATE = "truncate"
    SAMPLE = "sample"
    LOSE = "lose"


@dataclass(frozen=True, slots=True)
class PressureLevels:
    """From which level payload is cut and flows are sampled; 0 is never. Half a ring is level 1, a full one `top`."""

    cuts_from: int
    samples_from: int

    @property
    def top(self) -> int:
        return max(self.cuts_from, self.samples_from + HALVES - 1 if self.samples_from else 0)

    def words(self, level: int, flow_share: float = 1.0) -> str:
        """What a level means, for a person."""
        said = []
        if self.cuts_from and level >= self.cuts_from:
            said.append("headers only")
        if self.samples_from and level >= self.samples_from:
            halves = min(level - self.samples_from + 1, HALVES)
            said.append(f"{flow_share / 2**halves:.3g} of conversations")
        return " and ".join(said) or "everything again"


@dataclass(frozen=True, slots=True)
class LevelChange:
    """The level from a time (CLOCK_MONOTONIC) on; 0 is no pressure."""

    at_ns: int
    level: int


def pressure_levels(measures: Sequence[OnPressure]) -> PressureLevels:
    """The levels for measures in their order."""
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
