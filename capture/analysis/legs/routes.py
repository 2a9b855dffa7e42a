"""Passages -> routes: the points that the packets of each side pass, in order.

The problem. Each file has times by a clock of its own. The offset of two nodes' clocks may be larger than the delay
of any packet, so a single pair of times does not show which point came first.

Both directions together show it. If b comes after a on the path from the client, then packets of the client reach b
after a, and packets of the server reach a after b. With d the offset of the two clocks, and v, w > 0 the delays
between the points in each direction, the mean of `b - a` is d + v for packets of the client, and d - w for those of
the server. Their difference is v + w for any d; it is negative if a comes after b. So its sign gives the order. For
two points with one clock one direction is enough. One direction by two clocks shows nothing: then the order of the
files is used.

Each pair of points adds 1 to the place of the later point; sorting points by place gives the route. A session that
was seen at one point only is assigned the route of the sessions between the same hosts, if that is unique and begins
at this point. But an address may stand for several hosts: a Service has many backends. A session that one point saw,
answers and all, while the other points of the route were capturing, went another way. Then no session between these
hosts that was seen there alone is judged: it is not known where it went. A side that was seen at one point only is
assigned the reverse of the other side's route, if all points on it see packets of that side at all.

The cost: sums and counts for each pair of points, conversation and side; two passes over all passages.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from capture.analysis.legs.joined import JoinedSessions
from capture.analysis.legs.pairing import NEVER
from capture.arrays.aliases import Longs, Table
from capture.arrays.rows import alike

_PLACE_BITS = 4


class Routes:
    """Routes by joined session and side. Add passages, then call `close`, then `learn`, then `of`."""

    def __init__(self, conversations: JoinedSessions, clocks: Sequence[int]) -> None:
        """`clocks`: the clock of each point."""
        self._conversations, self._clocks = conversations, clocks
        self._later: dict[tuple[int, int], tuple[npt.NDArray[np.float64], Longs]] = {}
        """By pair of points: sums of time differences, ns, and their numbers, each [conversation, side]."""
        self._passed = np.zeros((conversations.count + 1, 2), np.int64)
        """[conversation, side]: a bit for each point that saw it."""
        self._sees = np.zeros((len(clocks), 2), bool)
        self._known: dict[int, int] = {}
        """By hosts and point: index in `routes` of the only route from there; 0: several."""
        self._answered: dict[int, tuple[int, int]] = {}
        """By hosts and point: times of the first and last answer in sessions that only this point saw, ns."""
        self._elsewhere: set[int] = set()
        self._of = np.zeros((conversations.count + 1, 2), np.int64)
        self.routes: list[tuple[int, ...]] = [()]

    def add(self, rows: Table) -> None:
        """Add the time differences of packets between each two points."""
        conversations, sides = self._conversations.of(rows)
        certain = rows["doubtful"] == 0
        seen = rows["times_ns"] != NEVER
        for point in range(len(self._clocks)):
            self._sees[point, np.unique(sides[seen[:, point]])] = True
        for a, b in combinations(range(len(self._clocks)), 2):
            at_both = seen[:, a] & seen[:, b] & (conversations > 0)
            if not at_both.any():
                continue
            where = conversations[at_both], sides[at_both]
            np.bitwise_or.at(self._passed, where, 1 << a | 1 << b)
            if (a, b) not in self._later:
                self._later[a, b] = np.zeros(self._of.shape), np.zeros(self._of.shape, np.int64)
            sums, counts = self._later[a, b]
            later = rows["times_ns"][at_both, b] - rows["times_ns"][at_both, a]
            np.add.at(sums, where, np.where(certain[at_both], later, 0))
            np.add.at(counts, where, certain[at_both])

    def close(self) -> None:
        """Find the routes, after all passages were added."""
        places = np.zeros((len(self._of), len(self._clocks)), np.int64)
        for (a, b), (sums, counts) in self._later.items():
            # b comes after a from the client and before a from the server: with the sign turned, both means agree.
            means = sums / np.maximum(counts, 1) * (1, -1)
            known = counts.any(axis=1) if self._clocks[a] == self._clocks[b] else counts.all(axis=1)
            later = np.where(known, means.sum(axis=1), 0)
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
        """Return the index in `routes` of the points in `mask`, in order of their places; 0 for no route."""
        points = [point for point in range(len(self._clocks)) if mask >> point & 1]
        # A way back is the reverse of the other side's route.
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
        """Note the routes of clients' packets between each pair of hosts."""
        conversations, sides = self._conversations.of(rows)
        ways = self._of[conversations, sides]
        begins = np.array([route[0] if route else 0 for route in self.routes], np.int64)[ways]
        mine = (conversations > 0) & (sides == 0) & (ways > 0)
        mine &= rows["times_ns"][np.arange(len(rows)), begins] != NEVER
        keys = _key(rows["hosts"][mine, begins[mine]], begins[mine])
        for key, way in np.unique(np.stack([keys, ways[mine]], axis=1), axis=0).tolist():
            self._known[key] = way if self._known.get(key, way) == way else 0
        answers = np.flatnonzero((conversations == 0) & (sides == 1))
        keys, points = self._keys_of(rows, answers)
        times = rows["times_ns"][answers, points]
        unique, which = np.unique(keys, return_inverse=True)
        first, last = (np.full(len(unique), extreme) for extreme in (np.iinfo(np.int64).max, np.iinfo(np.int64).min))
        np.minimum.at(first, which, times)
        np.maximum.at(last, which, times)
        for key, begin, end in zip(unique.tolist(), first.tolist(), last.tolist(), strict=True):
            earlier = self._answered.get(key, (begin, end))
            self._answered[key] = min(begin, earlier[0]), max(end, earlier[1])

    def compare_answers(self, was_running: Callable[[int, int, int, int], bool]) -> None:
        """Forget the routes between hosts whose sessions go several ways; after all passages were learned.

        `was_running` (point, other, first, last): the capture at the other point was running at some time from first
        to last, which are by the clock of the point, ns.
        """
        for key, (first, last) in self._answered.items():
            point = key & 0xF
            others = [other for other in self.routes[self._known.get(key, 0)] if other != point]
            if any(was_running(point, other, first, last) for other in others):
                self._known[key] = 0
                self._elsewhere.add(key)
        self._answered.clear()

    def elsewhere(self, rows: Table, conversations: Longs) -> npt.NDArray[np.bool_]:
        """Return a mask of passages of sessions that one point saw, between hosts whose sessions go several ways."""
        mask = np.zeros(len(rows), bool)
        if self._elsewhere:
            alone = np.flatnonzero(conversations == 0)
            keys, _ = self._keys_of(rows, alone)
            mask[alone] = np.isin(keys, list(self._elsewhere))
        return mask

    def _keys_of(self, rows: Table, chosen: npt.NDArray[np.intp]) -> tuple[Longs, Longs]:
        """Return hosts and point in one number, and the point, of chosen passages that one point saw."""
        points = (rows["times_ns"][chosen] != NEVER).argmax(axis=1)
        return _key(rows["hosts"][chosen, points], points), points

    def of(self, rows: Table, conversations: Longs, sides: Longs) -> Longs:
        """Return the index in `routes` of each passage's route."""
        routes = self._of[conversations, sides]
        alone = np.flatnonzero((conversations == 0) & (sides == 0))
        if len(alone) and self._known:
            unique, which = np.unique(self._keys_of(rows, alone)[0], return_inverse=True)
            ways = np.array([self._known.get(key, 0) for key in unique.tolist()], np.int64)
            routes[alone] = ways[which]
        return routes


def _key(hosts: Longs, points: Longs) -> Longs:
    """Return hosts and point in one number each."""
    return hosts & ~0xF | points
