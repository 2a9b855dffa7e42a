"""The interfaces of a capture, including those added while it ran -> a list with the time of each.

The position of an interface in the roster is its row in the counters and its id in every file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from capture.plan import PlannedInterface


@dataclass(slots=True)
class Member:
    """One interface; times are CLOCK_MONOTONIC, `ended_ns` is None while packets are captured there.

    `hooks` has the hook of each program: tcx, clsact, xdp native or xdp generic.
    """

    planned: PlannedInterface
    began_ns: int
    ended_ns: int | None = None
    hooks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """A change of the captured pods or interfaces, as text for people; `at_ns` is wall-clock time."""

    at_ns: int
    text: str


class Roster:
    """All interfaces that a capture had, in the order of their slots."""

    def __init__(self) -> None:
        self.members: list[Member] = []

    def add(self, planned: PlannedInterface, now_ns: int) -> None:
        """Add an interface at CLOCK_MONOTONIC `now_ns`. Slots are given in order and never reused."""
        assert planned.slot == len(self.members), "slots are given in order"
        self.members.append(Member(planned, now_ns))

    def end(self, slot: int, now_ns: int) -> bool:
        """Mark an interface as ended; returns False if it was already."""
        member = self.members[slot]
        if member.ended_ns is not None:
            return False
        member.ended_ns = now_ns
        return True

    @property
    def captured(self) -> list[Member]:
        """The members on which packets are captured: all but that of the kernel's events."""
        return [member for member in self.members if not member.planned.place.events]

    @property
    def interfaces(self) -> list[PlannedInterface]:
        """The interfaces on which packets are or were captured."""
        return [member.planned for member in self.captured]

    @property
    def present(self) -> list[PlannedInterface]:
        """The interfaces on which packets are captured now."""
        return [member.planned for member in self.captured if member.ended_ns is None]
