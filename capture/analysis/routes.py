"""Passages -> which sessions of several points are one conversation, and in which order its packets pass them.

A point is before another if packets of the client reach it first, and those of the server last: there and back
takes time. That is seen without knowing how far clocks are apart, once both directions passed. Of one alone, by two
clocks, nobody can tell: the order of the files is taken.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.layout import Table
from capture.analysis.pairing import NEVER

Session = tuple[int, int]
"""A point, and a session's number in its file."""


class Conversations:
    """Sessions that are joined because packets of one are packets of the other; 0 is of none."""

    def __init__(self, points: int) -> None:
        self._points = points
        self._parents: dict[Session, tuple[Session, int]] = {}
        self._numbers: list[npt.NDArray[np.int64]] = []
        self._turned: list[npt.NDArray[np.int8]] = []
        self.count = 0

    def join(self, rows: Table) -> None:
        """Take what these passages tell."""
        rows = rows[rows["doubtful"] == 0]
        for a, b in combinations(range(self._points), 2):
            both = rows[(rows["times_ns"][:, a] != NEVER) & (rows["times_ns"][:, b] != NEVER)]
            turned = both["sides"][:, a] != both["sides"][:, b]
            links = np.stack([both["sessions"][:, a], both["sessions"][:, b], turned], axis=1)
            for one, other, differ in np.unique(links, axis=0).tolist():
                self._unite((a, one), (b, other), differ)

    def _root(self, session: Session) -> tuple[Session, int]:
        """Whom it was joined to in the end, and whether client and server are the other way round there."""
        way: list[tuple[Session, int]] = []
        turned = 0
        while True:
            parent, differs = self._parents.setdefault(session, (session, 0))
            if parent == session:
                break
            way.append((session, turned))
            session, turned = parent, turned ^ differs
        for before, so_far in way:
            self._parents[before] = (session, turned ^ so_far)
        return session, turned

    def _unite(self, one: Session, other: Session, differ: int) -> None:
        (a, turned_a), (b, turned_b) = self._root(one), self._root(other)
        if a != b:
            self._parents[max(a, b)] = (min(a, b), turned_a ^ turned_b ^ differ)

    def close(self) -> None:
        """All is joined: number the conversations."""
        numbers: dict[Session, int] = {}
        self._numbers = [np.zeros(1, np.int64) for _ in range(self._points)]
        self._turned = [np.zeros(1, np.int8) for _ in range(self._points)]
        largest = [0] * self._points
        for point, number in self._parents:
            largest[point] = max(largest[point], number)
        for point, last in enumerate(largest):
            self._numbers[point] = np.zeros(last + 1, np.int64)
            self._turned[point] = np.zeros(last + 1, np.int8)
        for session in list(self._parents):
            root, turned = self._root(session)
            self._numbers[session[0]][session[1]] = numbers.setdefault(root, len(numbers) + 1)
            self._turned[session[0]][session[1]] = turned
        self.count = len(numbers)

    def of(self, rows: Table) -> tuple[Any, Any]:
        """(conversation, side that sent it) of each passage."""
        conversations, sides = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        for point in reversed(range(self._points)):
            seen = rows["times_ns"][:, point] != NEVER
            sessions = rows["sessions"][:, point]
            known = self._numbers[point]
            inside = seen & (sessions < len(known))
            conversations[seen] = 0
            conversations[inside] = known[sessions[inside]]
            sides[seen] = rows["sides"][seen, point]
            sides[inside] ^= self._turned[point][sessions[inside]]
        return conversations, sides


Sums = dict[tuple[int, int], tuple[float, int]]
"""By conversation and side: a sum of differences, and their number."""


class Routes:
    """The points that each side's packets pass, in order. Add passages, then `close`.

    A session that never came to a second point takes the way of those between the same hosts, if there is only one,
    and it begins at this point. A side of which nothing came to a second point takes the other's way back, if the
    points on it see packets of that side at all.
    """

    def __init__(self, conversations: Conversations, clocks: Sequence[int]) -> None:
        """`clocks`: of each point, which clock its times are of."""
        self._conversations, self._clocks = conversations, clocks
        self._sums: dict[tuple[int, int], Sums] = defaultdict(dict)
        self._hosts: dict[tuple[int, int], set[int]] = defaultdict(set)
        """By point and hosts: conversations."""
        self._sees = np.zeros((len(clocks), 2), bool)
        self._by_hosts: dict[tuple[int, int], int] = {}
        self.routes: list[tuple[int, ...]] = [()]
        self._of = np.zeros((conversations.count + 1, 2), np.int64)

    def add(self, rows: Table) -> None:
        """Take how long packets were between two points, as far as their clocks say."""
        conversations, sides = self._conversations.of(rows)
        certain = rows["doubtful"] == 0
        for point in range(len(self._clocks)):
            seen = rows["times_ns"][:, point] != NEVER
            self._sees[point, np.unique(sides[seen])] = True
            known = seen & (conversations > 0)
            pairs = np.stack([rows["hosts"][known, point], conversations[known]], axis=1)
            for hosts, conversation in np.unique(pairs, axis=0).tolist():
                self._hosts[point, hosts].add(conversation)
        for a, b in combinations(range(len(self._clocks)), 2):
            both = (rows["times_ns"][:, a] != NEVER) & (rows["times_ns"][:, b] != NEVER)
            later = np.where(certain[both], rows["times_ns"][both, b] - rows["times_ns"][both, a], 0)
            keys, which = np.unique(conversations[both] * 2 + sides[both], return_inverse=True)
            totals, counts = np.bincount(which, later), np.bincount(which, certain[both]).astype(np.int64)
            sums = self._sums[a, b]
            for key, total, count in zip(keys.tolist(), totals.tolist(), counts.tolist(), strict=True):
                before = sums.get((key >> 1, key & 1), (0.0, 0))
                sums[key >> 1, key & 1] = before[0] + total, before[1] + count

    def close(self) -> None:
        """All is added: find the routes."""
        later: dict[int, dict[tuple[int, int], float]] = defaultdict(dict)
        passed: dict[tuple[int, int], set[int]] = defaultdict(set)
        for pair, sums in self._sums.items():
            for (conversation, side), (total, count) in sums.items():
                # From the client b comes after a, from the server before: both halves say the same.
                passed[conversation, side].update(pair)
                one_clock = self._clocks[pair[0]] == self._clocks[pair[1]]
                both_ways = sums.get((conversation, 1 - side), (0.0, 0))[1] > 0
                if not count or not (one_clock or both_ways):
                    continue
                mean = total / count * (1 if side == 0 else -1)
                later[conversation][pair] = later[conversation].get(pair, 0.0) + mean
        known: dict[tuple[int, ...], int] = {(): 0}
        for (conversation, side), points in passed.items():
            order = tuple(_ordered(points, later[conversation], reverse=side == 1))
            self._of[conversation, side] = known.setdefault(order, len(known))
            back = 1 - side
            if (conversation, back) not in passed and self._sees[list(order), back].all():
                self._of[conversation, back] = known.setdefault(order[::-1], len(known))
        self.routes = list(known)
        for (point, hosts), conversations in self._hosts.items():
            ways = {int(self._of[conversation, 0]) for conversation in conversations}
            way = ways.pop()
            if not ways and self.routes[way][:1] == (point,):
                self._by_hosts[point, hosts] = way

    def of(self, rows: Table, conversations: Any, sides: Any) -> Any:
        """The index in `routes` of the way that these passages take."""
        found = self._of[conversations, sides]
        alone = np.flatnonzero((conversations == 0) & (sides == 0))
        if len(alone) and self._by_hosts:
            points = (rows["times_ns"][alone] != NEVER).argmax(axis=1)
            pairs = np.stack([points, rows["hosts"][alone, points]], axis=1)
            unique, which = np.unique(pairs, axis=0, return_inverse=True)
            ways = np.array([self._by_hosts.get((point, hosts), 0) for point, hosts in unique.tolist()], np.int64)
            found[alone] = ways[which.reshape(-1)]
        return found


def _ordered(points: Iterable[int], later: dict[tuple[int, int], float], reverse: bool) -> list[int]:
    """Points by how many of the others are before them."""
    listed = sorted(points)

    def follows(point: int, other: int) -> bool:
        return later.get((other, point), -later.get((point, other), 0.0)) > 0

    def place(point: int) -> int:
        return sum(follows(point, other) for other in listed if other != point)

    return sorted(listed, key=place, reverse=reverse)
