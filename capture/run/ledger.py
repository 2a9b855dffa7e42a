"""What the programs counted and what the loop moved -> the account of each interface.

Two sides that know nothing of each other: account.check() holds them against each other at the end.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.abi import HOOK_FROM_POD, HOOK_TO_POD, HOOKS, INBOUND, OUTBOUND, REVERSE
from capture.run.account import COUNTED, Account, DirectionAccount
from capture.stream.compiled.merge import FLAG_SETS, TALLY_COLUMNS

Tallies = npt.NDArray[np.int64]


class Ledger:
    """Packets by interface and flags; `moved` is what merge() adds to: packets, bytes, packets over the limit."""

    def __init__(self, interfaces: int) -> None:
        self.moved: Tallies = np.zeros((interfaces, FLAG_SETS, TALLY_COLUMNS), np.int64)
        self._arrived: Tallies | None = None

    def grow(self, interfaces: int) -> None:
        """Have room for so many interfaces; those that were there keep their rows."""
        self.moved = _padded(self.moved, interfaces)

    def only_arrived(self, until: Tallies) -> None:
        """What was moved after `until` (an earlier copy of `moved`), and what will be, does not reach the output."""
        self._arrived = until

    def accounts(self, rows: npt.NDArray[Any]) -> list[Account]:
        """One account per interface; `rows` is [interfaces * HOOKS] of INTERFACE_COUNTERS."""
        found = []
        for slot in range(len(self.moved)):
            hooks = [rows[slot * HOOKS + hook] for hook in (HOOK_FROM_POD, HOOK_TO_POD)]
            found.append(
                Account(
                    seen=sum(int(row["seen"]) for row in hooks),
                    seen_bytes=sum(int(row["seen_bytes"]) for row in hooks),
                    unmatched=sum(int(row["unmatched"]) for row in hooks),
                    forward=self._direction([row["forward"] for row in hooks], slot, 0),
                    reverse=self._direction([row["reverse"] for row in hooks], slot, REVERSE),
                )
            )
        return found

    def _direction(self, rows: Sequence[np.void], slot: int, reverse: int) -> DirectionAccount:
        flags = [reverse | INBOUND, reverse | OUTBOUND]
        moved, _, over = (int(n) for n in self.moved[slot, flags].sum(axis=0))
        written, size, _ = (int(n) for n in self._written[slot, flags].sum(axis=0))
        return DirectionAccount(
            **{name: sum(int(row[name]) for row in rows) for name in COUNTED},
            written=written,
            written_bytes=size,
            over_limit=over,
            lost_writing=moved - written,
        )

    @property
    def _written(self) -> Tallies:
        return self.moved if self._arrived is None else _padded(self._arrived, len(self.moved))

    def view(self, side: int) -> DirectionAccount:
        """What was written of all interfaces' inbound or outbound packets."""
        flags = [side, side | REVERSE]
        count, size, _ = (int(n) for n in self._written[:, flags].sum(axis=(0, 1)))
        return DirectionAccount(written=count, written_bytes=size)


def _padded(tallies: Tallies, interfaces: int) -> Tallies:
    return np.pad(tallies, ((0, interfaces - len(tallies)), (0, 0), (0, 0)))
