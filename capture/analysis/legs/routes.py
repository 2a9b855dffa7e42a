"""Passages -> the points that each side's packets pass, in order.

The problem. Files say when a packet was seen where, each by a clock of its own. Clocks of two nodes may be apart by
more than any packet takes, so a single pair of times says nothing about which point came first.

Both directions together do. If b is behind a, seen from the client, then packets of the client reach b after a, and
those of the server a after b. With d the distance of the two clocks, and v, w > 0 the time from one point to the
other each way, the mean of `b - a` is d + v for packets of the client, and d - w for those of the server. Their
difference is v + w, whatever d is; it is negative if a is behind b. So its sign is the order. For two points of one
clock one direction is enough. For one direction by two clocks nobody can tell: the order of the files is taken.

Each pair of points adds one to the place of the later, and takes one from the earlier; sorting by place gives the
route. A session that never came to a second point takes the way of those between the same hosts, if there is only
one and it begins at this point. A side of which nothing came to a second point takes the other's way back, if the
points on it see packets of that side at all.

The cost: sums and counts for each pair of points, conversation and side; two passes over all passages.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from capture.analysis.legs.joined import JoinedSessions
from capture.analysis.legs.pairing import NEVER
from capture.arrays.aliases import Longs, Table
from capture.arrays.rows import alike

_PLACE_BITS = 4


class Routes:
    """Routes by joined session and side. Add passages, then `close`; then `learn`; then ask `of`."""

    def __init__(self, conversations: JoinedSessions, clocks: Sequence[int]) -> None:
        """`clocks`: of each point, which clock its times are of."""
        self._conversations, self._clocks = conversations, clocks
        self._later: dict[tuple[int, int], tuple[npt.NDArray[np.float64], Longs]] = {}
        """By pair of points: sums of differences by conversation and side, and their numbers."""
        self._passed = np.zeros((conversations.count + 1, 2), np.int64)
        """By conversation and side: a bit for each point."""
        self._sees = np.zeros((len(clocks), 2), bool)
        self._known: dict[int, int] = {}
        self._of = np.zeros((conversations.count + 1, 2), np.int64)
        self.routes: list[tuple[int, ...]] = [()]

    def add(self, rows: Table) -> None:
        """Take how long packets were between two points, as far as their clocks say."""
        conversations, sides = self._conversations.of(rows)
        certain = rows["doubtful"] == 0
        seen = rows["times_ns"] != NEVER
        for point in range(len(self._clocks)):
            self._sees[point, np.unique(sides[seen[:, point]])] = True
        for a, b in combinations(range(len(self._clocks)), 2):
            both = seen[:, a] & seen[:, b] & (conversations > 0)
            if not both.any():
                continue
            where = conversations[both], sides[both]
            np.bitwise_or.at(self._passed, where, 1 << a | 1 << b)
            if (a, b) not in self._later:
                self._later[a, b] = np.zeros(self._of.shape), np.zeros(self._of.shape, np.int64)
            sums, counts = self._later[a, b]
            later = rows["times_ns"][both, b] - rows["times_ns"][both, a]
            np.add.at(sums, where, np.where(certain[both], later, 0))
            np.add.at(counts, where, certain[both])

    def close(self) -> None:
        """All is added: find the routes."""
        places = np.zeros((len(self._of), len(self._clocks)), np.int64)
        for (a, b), (sums, counts) in self._later.items():
            # From the client b comes after a, from the server before: both halves say the same.
            means = sums / np.maximum(counts, 1) * (1, -1)
            told = counts.any(axis=1) if self._clocks[a] == self._clocks[b] else counts.all(axis=1)
            later = np.where(told, means.sum(axis=1), 0)
            places[:, b] += later > 0
            places[:, a] += later < 0
        codes = places @ (1 << _PLACE_BITS * np.arange(len(self._clocks)))
        for side in (0, 1):
            passed, other = self._passed[:, side], self._passed[:, 1 - side]
            back = (passed == 0) & (other > 0)
            distinct, which = alike(np.where(back, other, passed), codes, back)
            numbers = [self._number(mask, code, side, bool(turned)) for mask, code, turned in distinct]
            self._of[:, side] = np.array(numbers, np.int64)[which]
        self._later.clear()

    def _number(self, mask: int, code: int, side: int, back: bool) -> int:
        """The index in `routes` of the points in `mask`, in order of their places."""
        points = [point for point in range(len(self._clocks)) if mask >> point & 1]
        # A way back is the other side's, turned round.
        reverse = (side == 1) != back
        order = sorted(
            points, key=lambda point: code >> _PLACE_BITS * point & (1 << _PLACE_BITS) - 1, reverse=reverse
        )
        if back:
            order.reverse()
            if not self._sees[order, side].all():
                return 0
        route = tuple(order)
        if route not in self.routes:
            self.routes.append(route)
        return self.routes.index(route)

    def learn(self, rows: Table) -> None:
        """Take which ways packets of clients go between which hosts."""
        conversations, sides = self._conversations.of(rows)
        ways = self._of[conversations, sides]
        begins = np.array([route[0] if route else 0 for route in self.routes], np.int64)[ways]
        mine = (conversations > 0) & (sides == 0) & (ways > 0)
        mine &= rows["times_ns"][np.arange(len(rows)), begins] != NEVER
        keys = _key(rows["hosts"][mine, begins[mine]], begins[mine])
        for key, way in np.unique(np.stack([keys, ways[mine]], axis=1), axis=0).tolist():
            self._known[key] = way if self._known.get(key, way) == way else 0

    def of(self, rows: Table, conversations: Longs, sides: Longs) -> Longs:
        """The index in `routes` of the way that these passages take."""
        found = self._of[conversations, sides]
        alone = np.flatnonzero((conversations == 0) & (sides == 0))
        if len(alone) and self._known:
            points = (rows["times_ns"][alone] != NEVER).argmax(axis=1)
            unique, which = np.unique(_key(rows["hosts"][alone, points], points), return_inverse=True)
            ways = np.array([self._known.get(key, 0) for key in unique.tolist()], np.int64)
            found[alone] = ways[which]
        return found


def _key(hosts: Longs, points: Longs) -> Longs:
    """Hosts at a point as one number."""
    return hosts & ~0xF | points
