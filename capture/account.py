"""Kernel counters and written tallies -> accounts that add up.

    seen = unmatched + matched
    matched = written + over_limit + lost

seen, unmatched and matched are counted by the programs, written and over_limit by the loop that writes packets.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from capture.errors import BicapError


@dataclass(frozen=True, slots=True)
class DirectionAccount:
    """Packets of one conversation direction; bytes where the name says so."""

    matched: int = 0
    matched_bytes: int = 0
    written: int = 0
    written_bytes: int = 0
    over_limit: int = 0
    lost_ring_full: int = 0
    lost_other: int = 0
    lost_writing: int = 0

    @property
    def lost(self) -> int:
        """Packets that matched, were within the limits, and are not in the file."""
        return self.lost_ring_full + self.lost_other + self.lost_writing

    def __add__(self, other: "DirectionAccount") -> "DirectionAccount":
        return DirectionAccount(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that happened to one interface's packets, or to those of several."""

    seen: int = 0
    seen_bytes: int = 0
    unmatched: int = 0
    forward: DirectionAccount = field(default_factory=DirectionAccount)
    reverse: DirectionAccount = field(default_factory=DirectionAccount)

    @property
    def both(self) -> DirectionAccount:
        """Forward and reverse together."""
        return self.forward + self.reverse

    def __add__(self, other: "Account") -> "Account":
        return Account(
            self.seen + other.seen,
            self.seen_bytes + other.seen_bytes,
            self.unmatched + other.unmatched,
            self.forward + other.forward,
            self.reverse + other.reverse,
        )

    def check(self) -> None:
        """Raise if the account does not add up: that is a bug, and a capture must not hide it."""
        for name, way in (("forward", self.forward), ("reverse", self.reverse)):
            if way.matched != way.written + way.over_limit + way.lost:
                raise BicapError(f"bug: the {name} account does not add up: {way}")
        if self.seen != self.unmatched + self.both.matched:
            raise BicapError(f"bug: the account does not add up: {self}")

    def as_json(self) -> dict[str, Any]:
        """Plain values, with the sums a reader wants."""
        total = self.both
        return asdict(self) | {
            "matched": total.matched,
            "written": total.written,
            "written_bytes": total.written_bytes,
            "over_limit": total.over_limit,
            "lost": total.lost,
        }


def total(accounts: Iterable[Account]) -> Account:
    """The account of several interfaces together."""
    return sum(accounts, Account())
