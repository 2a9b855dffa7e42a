"""The counters of the programs and the tallies of the loop -> the account of each interface.

The problem
    The account must be exact, and an error in it must show. So two sides count independently: the programs count each
    packet that they see, match, leave out or lose, and the loop counts each block that it moves.

The invariant
    `moved` has every packet that merge() passed, once: written, or over a limit. It is never taken back. If the
    output fails, `_arrived` is a copy of `moved` from before the first write that did not arrive whole; from then on
    the difference between the two is lost in writing.

Why it is right
    At the end no program runs and all rings are empty, so each matched packet was left out or lost by a program, or
    moved by the loop. account.check() compares the two sides, which share no counter, and raises if they differ.

What it costs
    Two additions per packet in merge(). Per write one copy of `moved`: [interfaces, 8, 3] of int64.
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
    """Tallies of moved packets, by interface and flags.

    `moved` is [interfaces, FLAG_SETS, TALLY_COLUMNS], int64: packets, their bytes, packets over the limit. merge()
    adds to it.
    """

    def __init__(self, interfaces: int) -> None:
        self.moved: Tallies = np.zeros((interfaces, FLAG_SETS, TALLY_COLUMNS), np.int64)
        self.before: Tallies = self.moved.copy()
        """`moved` without the last portion. Written by write_portions()."""
        self._arrived: Tallies | None = None

    def grow(self, interfaces: int) -> None:
        """Make room for `interfaces` interfaces; earlier ones keep their rows."""
        self.moved = _padded(self.moved, interfaces)
        self.before = self.moved.copy()

    def only_arrived(self, until: Tallies) -> None:
        """Record that nothing reached the output after `until`, an earlier copy of `moved`, or will reach it."""
        self._arrived = until

    def accounts(self, rows: npt.NDArray[Any]) -> list[Account]:
        """Return one account per interface; `rows` is [interfaces * HOOKS] of INTERFACE_COUNTERS."""
        accounts = []
        for slot in range(len(self.moved)):
            hooks = [rows[slot * HOOKS + hook] for hook in (HOOK_FROM_POD, HOOK_TO_POD)]
            accounts.append(
                Account(
                    seen=sum(int(row["seen"]) for row in hooks),
                    seen_bytes=sum(int(row["seen_bytes"]) for row in hooks),
                    unmatched=sum(int(row["unmatched"]) for row in hooks),
                    forward=self._direction([row["forward"] for row in hooks], slot, 0),
                    reverse=self._direction([row["reverse"] for row in hooks], slot, REVERSE),
                )
            )
        return accounts

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
        """Return the written packets and bytes of all interfaces that are inbound, or outbound."""
        flags = [side, side | REVERSE]
        count, size, _ = (int(n) for n in self._written[:, flags].sum(axis=(0, 1)))
        return DirectionAccount(written=count, written_bytes=size)


def _padded(tallies: Tallies, interfaces: int) -> Tallies:
    return np.pad(tallies, ((0, interfaces - len(tallies)), (0, 0), (0, 0)))
