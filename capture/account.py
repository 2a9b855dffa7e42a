"""Kernel counters and written tallies -> accounts that add up.

    seen = unmatched + matched
    matched = written + over_limit + lost

seen, unmatched, matched and what the rings refuse are counted by the programs, written and over_limit by the loop
that writes packets: `check` holds the two against each other.
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
    lost_writing: int = 0

    @property
    def lost(self) -> int:
        """Packets that matched, were within the limits, and are not in the file."""
        return self.matched - self.written - self.over_limit

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


@dataclass(frozen=True, slots=True)
class Losses:
    """Lost packets by reason, as those count them who lose them; together they are `lost` of all interfaces."""

    ring_full: int = 0
    other: int = 0
    writing: int = 0

    def __str__(self) -> str:
        return f"{self.ring_full:,} ring full (raise --buffer), {self.writing:,} not written, {self.other:,} other"


def check(account: Account, losses: Losses) -> None:
    """Raise if the counts of all who count do not add up: that is a bug, and a capture must not hide it."""
    if account.seen != account.unmatched + account.both.matched:
        raise BicapError(f"bug: seen is not unmatched + matched: {account}")
    if account.both.lost != losses.ring_full + losses.other + losses.writing:
        raise BicapError(f"bug: matched is not written + over limit + lost: {account}, {losses}")


def total(accounts: Iterable[Account]) -> Account:
    """The account of several interfaces together."""
    return sum(accounts, Account())
