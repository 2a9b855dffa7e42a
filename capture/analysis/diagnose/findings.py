"""Tables of sessions of one or more files -> groups of sessions that show the same trouble at the same place, ranked.

What the kinds of trouble are is a table of its own, analysis.kinds. Memory grows with the groups, up to GROUPS_MAX of
them; what is shown as evidence is a few sessions of each.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.diagnose.points import Seen
from capture.analysis.packets.completeness import Completeness
from capture.analysis.query.names import Names, place_text
from capture.arrays.aliases import Mask, Table
from capture.arrays.rows import alike, picked

GROUPS_MAX = 1 << 14
"""Of each kind: what comes beyond is counted as elsewhere."""
EVIDENCE = 5

Column = Callable[[Table, str], Any]
"""(sessions, "client" or "server") -> a value for each session."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a group's sessions are: their server, and for some kinds their client. `way` is the side it is about."""

    family: int
    protocol: int
    server: tuple[int, int, int]
    client: tuple[int, int] | None
    way: str
    cause: int

    def server_text(self, names: Names) -> str:
        """address:port."""
        return place_text(self.family, *self.server, names)

    def client_text(self, names: Names) -> str:
        """The address."""
        return place_text(self.family, *(self.client or (0, 0)), 0, names)

    def way_text(self, names: Names) -> str:
        """From whom to whom."""
        ends = self.client_text(names), self.server_text(names)
        return " to ".join(ends if self.way == "client" else ends[::-1])


@dataclass(frozen=True, slots=True, order=True)
class Evidence:
    """A session, and the packet to look at first; 0: none in particular."""

    file: str
    session: int
    packet: int


@dataclass(slots=True)
class Group:
    """Sessions of one place that show one kind of trouble: how many, sums over them, and the worst of them."""

    place: Place
    sessions: int = 0
    sums: dict[str, int] = field(default_factory=dict)
    worst: list[tuple[int, int, Evidence]] = field(default_factory=list)

    @property
    def evidence(self) -> list[Evidence]:
        """The worst first."""
        return [one for *_, one in sorted(self.worst, key=lambda entry: (-entry[0], -entry[1]))]


@dataclass(frozen=True, slots=True)
class Context:
    """What the words of a finding may need besides its group."""

    truth: Completeness
    names: Names
    total: int
    """Sessions with the group's server, with and without trouble."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of trouble.

    `shows` is which sessions belong to its groups, `sums` what is added up over them: the first of them says which
    sessions are the worst, and "affected" counts those in trouble where not all are. `words` makes (what is, what to
    look at next), or None where that is nothing to speak of.
    """

    name: str
    weight: int
    shows: Callable[[Table, str], Mask]
    sums: Mapping[str, Column]
    packet: Column
    words: Callable[[Group, Context], tuple[str, str] | None]
    by_client: bool = False
    ways: Sequence[str] = ("",)
    cause: str = ""
    """A column that tells groups apart."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Trouble in words."""

    kind: str
    what: str
    next: str
    sessions: int
    score: float
    evidence: list[Evidence]


class Diagnosis:
    """Add what trackers give; ask at the end. What several points show of a conversation counts once per kind."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = kinds
        self._groups: list[dict[Place, Group]] = [{} for _ in kinds]
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

    def _group(self, file: str, kind: Kind, groups: dict[Place, Group], way: str, sessions: Table) -> None:
        sums = {name: np.asarray(column(sessions, way)).astype(np.int64) for name, column in kind.sums.items()}
        packets = np.asarray(kind.packet(sessions, way))
        weights = next(iter(sums.values())) if sums else np.zeros(len(sessions), np.int64)
        for key, mine in _by_place(_keys(sessions, kind.by_client, kind.cause)):
            family, protocol, *rest = key
            client = (rest[3], rest[4]) if kind.by_client else None
            place = Place(family, protocol, (rest[0], rest[1], rest[2]), client, way, rest[5])
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
