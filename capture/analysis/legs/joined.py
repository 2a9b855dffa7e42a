"""Passages -> sessions of several points that are one conversation."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from capture.analysis.legs.compiled.union import flatten, unite
from capture.analysis.legs.pairing import NEVER
from capture.arrays.aliases import Longs, Table


class JoinedSessions:
    """Sessions that are joined because packets of one are packets of the other; 0 is of none.

    `sessions` is of each point the number of sessions in its file, and `files` which file that is.
    """

    def __init__(self, files: Sequence[int], sessions: Sequence[int]) -> None:
        bases = np.cumsum([0, *sessions])
        self._bases = bases[list(files)]
        total = int(bases[-1]) + 1
        self._parents = np.arange(total)
        self._turned = np.zeros(total, np.int64)
        self.count = 0

    def join(self, rows: Table) -> None:
        """Take what these passages tell."""
        rows = rows[rows["doubtful"] == 0]
        for a, b in combinations(range(len(self._bases)), 2):
            both = rows[(rows["times_ns"][:, a] != NEVER) & (rows["times_ns"][:, b] != NEVER)]
            turned = (both["sides"][:, a] != both["sides"][:, b]).astype(np.int64)
            one, other = (both["sessions"][:, point] + self._bases[point] for point in (a, b))
            unite(self._parents, self._turned, one, other, turned)

    def close(self) -> None:
        """All is joined: number the conversations."""
        flatten(self._parents, self._turned)
        roots, sizes = np.unique(self._parents, return_counts=True)
        numbers = np.zeros(len(self._parents), np.int64)
        joined = roots[sizes > 1]
        self.count = len(joined)
        numbers[joined] = np.arange(1, self.count + 1)
        self._parents = numbers[self._parents]

    def of(self, rows: Table) -> tuple[Longs, Longs]:
        """(conversation, side that sent it) of each passage."""
        conversations, sides = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        for point in reversed(range(len(self._bases))):
            seen = rows["times_ns"][:, point] != NEVER
            sessions = rows["sessions"][seen, point] + self._bases[point]
            conversations[seen] = self._parents[sessions]
            sides[seen] = rows["sides"][seen, point] ^ self._turned[sessions]
        return conversations, sides
