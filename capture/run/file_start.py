"""What had been counted when a file of a capture began: the difference of two is the account of the files between."""

from collections.abc import Sequence
from dataclasses import dataclass

from capture.run.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStart:
    """The beginning of a file. Counts are those of the capture before it."""

    path: str
    began_ns: int
    """CLOCK_MONOTONIC."""
    offset_ns: int
    """Wall clock minus CLOCK_MONOTONIC in this file."""
    accounts: Sequence[Account]
    """By interface on which packets are captured; interfaces that were added later are not among them."""
    events: int
    """Events of the kernel that were written."""
    late: int
    """Packets that got the time of the one before them."""
    ordered: bool
    """True if the file before it ended because that was ordered, at exactly that time."""

    @property
    def packets(self) -> int:
        """Packets, and events of the kernel, in all files before it."""
        return sum(account.both.written for account in self.accounts) + self.events
