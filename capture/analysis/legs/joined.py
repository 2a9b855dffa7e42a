"""Passages -> joined sessions: sessions at several points that share packets are one conversation.

Behind a translator a session has other addresses, so each point's tracker gives it a number of its own. A passage
that two points saw shows that two sessions are the same, and whether client and server are swapped between them. Sets
of joined sessions are kept by union-find (`compiled.union`): the result does not depend on the order of passages, and
the cost of each is nearly constant. A `doubtful` passage joins nothing.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from capture.analysis.legs.compiled.union import flatten, unite
from capture.analysis.legs.pairing import NEVER
from capture.arrays.aliases import Longs, Table


class JoinedSessions:
    """Sets of sessions. Join passages, then call `close`, then `of`. Sets are numbered from 1; 0 is no set.

    `files` is the file of each point, `sessions` the number of sessions in each file.
    """

    def __init__(self, files: Sequence[int], sessions: Sequence[int]) -> None:
        bases = np.cumsum([0, *sessions])
        self._bases = bases[list(files)]
        total = int(bases[-1]) + 1
        self._parents = np.arange(total)
        self._turned = np.zeros(total, np.int64)
        self.count = 0

    def join(self, rows: Table) -> None:
        """Join the sessions that these passages show to be the same."""
        rows = rows[rows["doubtful"] == 0]
        for a, b in combinations(range(len(self._bases)), 2):
            at_both = rows[(rows["times_ns"][:, a] != NEVER) & (rows["times_ns"][:, b] != NEVER)]
            turned = (at_both["sides"][:, a] != at_both["sides"][:, b]).astype(np.int64)
            ones, others = (at_both["sessions"][:, point] + self._bases[point] for point in (a, b))
            unite(self._parents, self._turned, ones, others, turned)

    def close(self) -> None:
        """Number the sets of more than one session."""
        flatten(self._parents, self._turned)
        roots, sizes = np.unique(self._parents, return_counts=True)
        numbers = np.zeros(len(self._parents), np.int64)
        joined = roots[sizes > 1]
        self.count = len(joined)
        numbers[joined] = np.arange(1, self.count + 1)
        self._parents = numbers[self._parents]

    def of(self, rows: Table) -> tuple[Longs, Longs]:
        """Return the set of each passage, and the side that sent it (0 client, 1 server)."""
        conversations, sides = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        for point in reversed(range(len(self._bases))):
            seen = rows["times_ns"][:, point] != NEVER
            sessions = rows["sessions"][seen, point] + self._bases[point]
            conversations[seen] = self._parents[sessions]
            sides[seen] = rows["sides"][seen, point] ^ self._turned[sessions]
        return conversations, sides
