"""The interfaces of a capture, those that came while it ran included -> who they are and when they were there.

An interface's place in the roster is its row in the counters and its id in every file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from capture.plan import PlannedInterface


@dataclass(slots=True)
class Member:
    """One interface; times are CLOCK_MONOTONIC, `ended_ns` is None while packets are caught there.

    `hooks` says where each program sits: tcx, clsact, xdp native or xdp generic.
    """

    planned: PlannedInterface
    began_ns: int
    ended_ns: int | None = None
    hooks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to what is captured, for people; wall-clock nanoseconds."""

    at_ns: int
    text: str


class Roster:
    """All interfaces that a capture had, in the order of their slots."""

    def __init__(self) -> None:
        self.members: list[Member] = []

    def add(self, planned: PlannedInterface, now_ns: int) -> None:
        """Slots are given in order, and never again."""
        assert planned.slot == len(self.members), "slots are given in order"
        self.members.append(Member(planned, now_ns))

    def end(self, slot: int, now_ns: int) -> bool:
        """Nothing is caught there any more; whether that was news."""
        member = self.members[slot]
        if member.ended_ns is not None:
            return False
        member.ended_ns = now_ns
        return True

    @property
    def interfaces(self) -> list[PlannedInterface]:
        return [member.planned for member in self.members]

    @property
    def present(self) -> list[PlannedInterface]:
        """Those where packets are caught."""
        return [member.planned for member in self.members if member.ended_ns is None]
