"""Kernel counters and written tallies -> accounts that add up, per interface and direction.

    seen = unmatched + matched
    matched = written + sampled out + over the limit + lost

What samplers left out and what rings refused is counted by the programs, like seen and matched; written, over the
limit and not written by the loop that writes packets. `check` holds the two against each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from capture.errors import BicapError

_SAMPLED, _LOST = "sampled_by_", "lost_"


@dataclass(frozen=True, slots=True)
class DirectionAccount:
    """Packets of one conversation direction; bytes where the name says so. `cut` ones lost their payload."""

    matched: int = 0
    matched_bytes: int = 0
    sampled_by_flow: int = 0
    sampled_by_packet: int = 0
    sampled_by_first: int = 0
    sampled_by_rate: int = 0
    sampled_by_pressure: int = 0
    lost_ring_full: int = 0
    lost_other: int = 0
    cut: int = 0
    cut_bytes: int = 0
    written: int = 0
    written_bytes: int = 0
    over_limit: int = 0
    lost_writing: int = 0

    @property
    def sampled_out(self) -> int:
        """Packets that samplers left out."""
        return sum(self.sampled_by.values())

    @property
    def sampled_by(self) -> dict[str, int]:
        """The same, by the sampler that refused first."""
        return self._by(_SAMPLED)

    @property
    def lost(self) -> int:
        """Packets that should be in the file, and are not."""
        return sum(self.lost_by.values())

    @property
    def lost_by(self) -> dict[str, int]:
        """The same, by reason."""
        return self._by(_LOST)

    def _by(self, prefix: str) -> dict[str, int]:
        return {f.name.removeprefix(prefix): getattr(self, f.name) for f in fields(self) if f.name.startswith(prefix)}

    @property
    def on_its_way(self) -> int:
        """Packets between the program and the file: 0 at the end."""
        return self.matched - self.written - self.sampled_out - self.over_limit - self.lost

    def __add__(self, other: "DirectionAccount") -> "DirectionAccount":
        return DirectionAccount(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: "DirectionAccount") -> "DirectionAccount":
        return DirectionAccount(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def as_json(self) -> dict[str, Any]:
        """Plain values, with the sums a reader wants."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith((_SAMPLED, _LOST))}
        return plain | {
            "sampled_out": self.sampled_out,
            "sampled_by": self.sampled_by,
            "lost": self.lost,
            "lost_by": self.lost_by,
        }


_MOVED = ("written", "written_bytes", "over_limit", "lost_writing")
COUNTED = tuple(f.name for f in fields(DirectionAccount) if f.name not in _MOVED)
"""What the programs count, by the names of bpf/abi.h."""


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
        return Account(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, earlier: "Account") -> "Account":
        return Account(*(getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)))

    def as_json(self) -> dict[str, Any]:
        """Plain values: of all packets, then of each direction."""
        return {
            "seen": self.seen,
            "seen_bytes": self.seen_bytes,
            "unmatched": self.unmatched,
            **self.both.as_json(),
            "forward": self.forward.as_json(),
            "reverse": self.reverse.as_json(),
        }


def check(accounts: Iterable[Account]) -> None:
    """Raise if the counts of all who count do not add up: that is a bug, and a capture must not hide it."""
    for account in accounts:
        if account.seen != account.unmatched + account.both.matched:
            raise BicapError(f"bug: seen is not unmatched + matched: {account}")
        for direction in (account.forward, account.reverse):
            if direction.on_its_way:
                raise BicapError(f"bug: matched is not written + sampled out + over limit + lost: {direction}")


def total(accounts: Iterable[Account]) -> Account:
    """The account of several interfaces together."""
    return sum(accounts, Account())
