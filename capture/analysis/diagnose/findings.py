"""Tables of sessions of one or more files -> groups of sessions that show the same trouble at the same place, ranked.

The kinds of trouble are a table of their own, `troubles`. Memory grows with the number of groups, up to GROUPS_MAX of
each kind; a group keeps only its EVIDENCE worst sessions.
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
from capture.arrays.rows import alike, picked, rows_where
from capture.wire.addresses import Names

GROUPS_MAX = 1 << 14
"""Groups of each kind at most; sessions of further groups are only counted (`Diagnosis.elsewhere`)."""


class Diagnosis:
    """Add the sessions of trackers, then call `findings`.

    A conversation that several points saw counts once for each kind of trouble.
    """

    def __init__(self, kinds: Sequence[Trouble]) -> None:
        self._kinds = kinds
        self._groups: list[dict[Site, Group]] = [{} for _ in kinds]
        self._seen = Seen()
        self._shown = {(kind.name, way): Seen() for kind in kinds for way in kind.ways}
        self._totals: dict[Any, int] = {}
        self.sessions = 0
        self.elsewhere = 0
        """Sessions with trouble at places beyond GROUPS_MAX."""

    def add(self, file: str, sessions: Table, several: bool = False) -> None:
        """Add sessions of a file that ended. `several`: other points may have seen the same conversations."""
        counted = picked(sessions, ~self._seen.elsewhere(file, sessions)) if several else sessions
        self.sessions += len(counted)
        for key, rows in _by_place(_keys(counted, by_client=False)):
            server, count = key[:5], len(rows)
            if server in self._totals or len(self._totals) < GROUPS_MAX:
                self._totals[server] = self._totals.get(server, 0) + count
        for kind, groups in zip(self._kinds, self._groups, strict=True):
            for way in kind.ways:
                shown = rows_where(sessions, kind.shows(sessions, way))
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
            for row in mine[np.argsort(-weights[mine], kind="stable")][:EVIDENCE].tolist():
                session = int(sessions["session"][row])
                if "affected" in sums and not weights[row]:
                    break
                entry = (int(weights[row]), -session, Evidence(file, session, int(packets[row])))
                if len(group.worst) < EVIDENCE:
                    heapq.heappush(group.worst, entry)
                elif entry > group.worst[0]:
                    heapq.heapreplace(group.worst, entry)

    def findings(self, completeness: Completeness, names: Names) -> list[Finding]:
        """Return the findings, worst first: by the weight of their kind times the share of sessions that show it."""
        findings = []
        for kind, groups in zip(self._kinds, self._groups, strict=True):
            for place, group in groups.items():
                total = max(self._totals.get((place.family, place.protocol, *place.server), 0), group.sessions)
                words = kind.words(group, Context(completeness, names, total))
                if words is not None:
                    affected = group.sums.get("affected", group.sessions)
                    score = kind.weight * affected / max(self.sessions, 1)
                    findings.append(Finding(kind.name, *words, affected, score, group.evidence))
        return sorted(findings, key=lambda finding: -finding.score)


def _keys(sessions: Table, by_client: bool, cause: str = "") -> list[npt.NDArray[np.int64]]:
    """Return the columns that identify the place of each session."""
    names = ["family", "protocol", "server_high", "server_low", "server_port"]
    columns = [sessions[name].astype(np.int64) for name in names]
    nothing = np.zeros(len(sessions), np.int64)
    columns += [sessions[name] if by_client else nothing for name in ("client_high", "client_low")]
    return [*columns, sessions[cause].astype(np.int64) if cause else nothing]


def _by_place(keys: list[npt.NDArray[np.int64]]) -> Iterator[tuple[tuple[int, ...], npt.NDArray[np.intp]]]:
    """Return pairs (key, indices of the sessions with this key)."""
    distinct, which = alike(*keys)
    order, ends = np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))
    yield from zip(distinct, np.split(order, ends[:-1]), strict=False)
