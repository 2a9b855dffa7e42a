"""Tables of sessions of one or more files -> groups of sessions that show the same trouble at the same place, ranked.

The kinds of trouble are a table of their own, `troubles`. Memory grows with the groups, up to GROUPS_MAX of
them; what is shown as evidence is a few sessions of each.
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.diagnose.points import Seen
from capture.analysis.diagnose.trouble import EVIDENCE, Context, Evidence, Finding, Group, Site, Trouble
from capture.analysis.packets.completeness import Completeness
from capture.arrays.aliases import Table
from capture.arrays.rows import alike, picked
from capture.wire.addresses import Names

GROUPS_MAX = 1 << 14
"""Of each kind: what comes beyond is counted as elsewhere."""


class Diagnosis:
    """Add what trackers give; ask at the end. What several points show of a conversation counts once per kind."""

    def __init__(self, kinds: Sequence[Trouble]) -> None:
        self._kinds = kinds
        self._groups: list[dict[Site, Group]] = [{} for _ in kinds]
        self._seen = Seen()
        self._shown = {(kind.name, way): Seen() for kind in kinds for way in kind.ways}
        self._totals: dict[Any, int] = {}
        self.sessions = 0
        self.elsewhere = 0
        "sessions with trouble at more places than are told apart"

    def add(self, file: str, sessions: Table, several: bool = False) -> None:
        """Sessions of a file that ended; `several`: there are other points, which may have seen the same."""
        counted = picked(sessions, ~self._seen.elsewhere(file, sessions)) if several else sessions
        self.sessions += len(counted)
        for key, rows in _by_place(_keys(counted, by_client=False)):
            server, count = key[:5], len(rows)
            if server in self._totals or len(self._totals) < GROUPS_MAX:
                self._totals[server] = self._totals.get(server, 0) + count
        for kind, groups in zip(self._kinds, self._groups, strict=True):
            for way in kind.ways:
                shown = picked(sessions, kind.shows(sessions, way))
                if several:
                    shown = picked(shown, ~self._shown[kind.name, way].elsewhere(file, shown))
                if len(shown):
                    self._group(file, kind, groups, way, shown)

    def _group(self, file: str, kind: Trouble, groups: dict[Site, Group], way: str, sessions: Table) -> None:
        sums = {name: np.asarray(column(sessions, way)).astype(np.int64) for name, column in kind.sums.items()}
        packets = np.asarray(kind.packet(sessions, way))
        weights = next(iter(sums.values())) if sums else np.zeros(len(sessions), np.int64)
        for key, mine in _by_place(_keys(sessions, kind.by_client, kind.cause)):
            family, protocol, *rest = key
            client = (rest[3], rest[4]) if kind.by_client else None
            place = Site(family, protocol, (rest[0], rest[1], rest[2]), client, way, rest[5])
            group = groups.get(place)
            if group is None:
                if len(groups) == GROUPS_MAX:
                    self.elsewhere += len(mine)
                    continue
                group = groups[place] = Group(place)
            group.sessions += len(mine)
            for name, values in sums.items():
                group.sums[name] = group.sums.get(name, 0) + int(values[mine].sum())
            for one in mine[np.argsort(-weights[mine], kind="stable")][:EVIDENCE].tolist():
                session = int(sessions["session"][one])
                if "affected" in sums and not weights[one]:
                    break
                entry = (int(weights[one]), -session, Evidence(file, session, int(packets[one])))
                if len(group.worst) < EVIDENCE:
                    heapq.heappush(group.worst, entry)
                elif entry > group.worst[0]:
                    heapq.heapreplace(group.worst, entry)

    def findings(self, truth: Completeness, names: Names) -> list[Finding]:
        """The worst first: by how bad the kind is, times the share of all sessions that show it."""
        found = []
        for kind, groups in zip(self._kinds, self._groups, strict=True):
            for place, group in groups.items():
                total = max(self._totals.get((place.family, place.protocol, *place.server), 0), group.sessions)
                words = kind.words(group, Context(truth, names, total))
                if words is not None:
                    affected = group.sums.get("affected", group.sessions)
                    score = kind.weight * affected / max(self.sessions, 1)
                    found.append(Finding(kind.name, *words, affected, score, group.evidence))
        return sorted(found, key=lambda one: -one.score)


def _keys(sessions: Table, by_client: bool, cause: str = "") -> list[npt.NDArray[np.int64]]:
    """Columns that are the same for sessions of one place."""
    names = ["family", "protocol", "server_high", "server_low", "server_port"]
    columns = [sessions[name].astype(np.int64) for name in names]
    nothing = np.zeros(len(sessions), np.int64)
    columns += [sessions[name] if by_client else nothing for name in ("client_high", "client_low")]
    return [*columns, sessions[cause].astype(np.int64) if cause else nothing]


def _by_place(keys: list[npt.NDArray[np.int64]]) -> Iterator[tuple[tuple[int, ...], npt.NDArray[np.intp]]]:
    """(key, which sessions have it), for each key there is."""
    distinct, which = alike(*keys)
    order, ends = np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))
    yield from zip(distinct, np.split(order, ends[:-1]), strict=False)
