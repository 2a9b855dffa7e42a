"""What the programs counted and what the loop moved -> the account of each interface.

Two sides that know nothing of each other: account.check() holds them against each other at the end.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.account import Account, DirectionAccount
from capture.stream.layout import HOOK_FROM_POD, HOOK_TO_POD, HOOKS, INBOUND, OUTBOUND, REVERSE
from capture.stream.merge import FLAG_SETS


class Ledger:
    """Packets by interface and flags; `moved` is what merge() adds to: packets, bytes, packets over the limit."""

    def __init__(self, interfaces: int) -> None:
        self.moved = np.zeros((interfaces, FLAG_SETS, 3), np.int64)
        self._unwritten = np.zeros_like(self.moved)

    def not_written(self, before: npt.NDArray[np.int64]) -> None:
        """What was moved since `before` (an earlier copy of `moved`) did not reach the output."""
        self._unwritten += self.moved - before

    @property
    def unwritten(self) -> int:
        """Packets that were moved and did not reach the output."""
        return int(self._unwritten[:, :, 0].sum())

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
        moved, size, over = (int(n) for n in self.moved[slot, flags].sum(axis=0))
        unwritten, unwritten_size, _ = (int(n) for n in self._unwritten[slot, flags].sum(axis=0))
        count = {name: sum(int(row[name]) for row in rows) for name in rows[0].dtype.names or ()}
        return DirectionAccount(
            matched=count["matched"],
            matched_bytes=count["matched_bytes"],
            written=moved - unwritten,
            written_bytes=size - unwritten_size,
            over_limit=over,
            lost_writing=unwritten,
        )

    def view(self, side: int) -> DirectionAccount:
        """What was written of all interfaces' inbound or outbound packets."""
        flags = [side, side | REVERSE]
        count, size, _ = (int(n) for n in (self.moved - self._unwritten)[:, flags].sum(axis=(0, 1)))
        return DirectionAccount(written=count, written_bytes=size)
