"""Kernel counters and written tallies -> accounts that add up, per interface and direction.

    seen = unmatched + matched
    matched = written + sampled out + over the limit + lost

The programs count seen, unmatched and matched packets, those that samplers left out, and those that rings refused.
The loop that writes packets counts written ones, those over the limit, and those not written. `check` compares the
two.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from capture.errors import BicapError

_SAMPLED, _LOST = "sampled_by_", "lost_"


@dataclass(frozen=True, slots=True)
class DirectionAccount:
    """Packets of one conversation direction; bytes where the name ends in _bytes. `cut` packets lost their
    payload."""

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
        """Number of packets that samplers left out."""
        return sum(self.sampled_by.values())

    @property
    def sampled_by(self) -> dict[str, int]:
        """Packets that samplers left out, by the first sampler that refused."""
        return self._by(_SAMPLED)

    @property
    def lost(self) -> int:
        """Number of packets that should be in the file and are not."""
        return sum(self.lost_by.values())

    @property
    def lost_by(self) -> dict[str, int]:
        """Lost packets, by reason."""
        return self._by(_LOST)

    def _by(self, prefix: str) -> dict[str, int]:
        return {f.name.removeprefix(prefix): getattr(self, f.name) for f in fields(self) if f.name.startswith(prefix)}

    @property
    def on_its_way(self) -> int:
        """Number of packets between the program and the file; 0 at the end."""
        return self.matched - self.written - self.sampled_out - self.over_limit - self.lost

    def __add__(self, other: "DirectionAccount") -> "DirectionAccount":
        return DirectionAccount(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: "DirectionAccount") -> "DirectionAccount":
        return DirectionAccount(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def as_json(self) -> dict[str, Any]:
        """Return plain values, with the sums."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith((_SAMPLED, _LOST))}
        return plain | {
            "sampled_out": self.sampled_out,
            "sampled_by": self.sampled_by,
            "lost": self.lost,
            "lost_by": self.lost_by,
        }


_MOVED = ("written", "written_bytes", "over_limit", "lost_writing")
COUNTED = tuple(f.name for f in fields(DirectionAccount) if f.name not in _MOVED)
"""Fields that the programs count, by their names in bpf/abi.h."""


@dataclass(frozen=True, slots=True)
class Account:
    """The packets of one interface, or of several together, by their fate."""

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
        """Return plain values: of all packets, then of each direction."""
        return {
            "seen": self.seen,
            "seen_bytes": self.seen_bytes,
            "unmatched": self.unmatched,
            **self.both.as_json(),
            "forward": self.forward.as_json(),
            "reverse": self.reverse.as_json(),
        }


def check(accounts: Iterable[Account]) -> None:
    """Raise BicapError if the counts do not add up: that is a bug, and a capture must not hide it."""
    for account in accounts:
        if account.seen != account.unmatched + account.both.matched:
            raise BicapError(f"bug: seen is not unmatched + matched: {account}")
        for direction in (account.forward, account.reverse):
            if direction.on_its_way:
                raise BicapError(f"bug: matched is not written + sampled out + over limit + lost: {direction}")


def total(accounts: Iterable[Account]) -> Account:
    """Return the sum of the accounts of several interfaces."""
    return sum(accounts, Account())
