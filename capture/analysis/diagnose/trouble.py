"""Types: a kind of trouble, the groups of sessions at one site that show it, their evidence, and findings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from capture.analysis.packets.completeness import Completeness
from capture.arrays.aliases import Mask, Table
from capture.wire.addresses import Names, place_text

EVIDENCE = 5
"""Sessions of a group that are shown at most."""

Column = Callable[[Table, str], Any]
"""(sessions, "client" or "server") -> a value for each session."""


@dataclass(frozen=True, slots=True)
class Site:
    """Place of a group: its server, and for some kinds of trouble its client.

    Addresses are (high, low) halves; the server also has its port. `way` is the side that the trouble is about, ""
    for both. `cause` is the value of the column Trouble.cause.
    """

    family: int
    protocol: int
    server: tuple[int, int, int]
    client: tuple[int, int] | None
    way: str
    cause: int

    def server_text(self, names: Names) -> str:
        """Return the server as address:port, by its name if it has one."""
        return place_text(self.family, *self.server, names)

    def client_text(self, names: Names) -> str:
        """Return the client's address, or its name if it has one."""
        return place_text(self.family, *(self.client or (0, 0)), 0, names)

    def way_text(self, names: Names) -> str:
        """Return sender and receiver as "A to B"."""
        ends = self.client_text(names), self.server_text(names)
        return " to ".join(ends if self.way == "client" else ends[::-1])


@dataclass(frozen=True, slots=True, order=True)
class Evidence:
    """A session, and the number of the packet to look at first; 0 is none in particular."""

    file: str
    session: int
    packet: int


@dataclass(slots=True)
class Group:
    """Sessions of one place that show one kind of trouble: how many, sums over them, and the worst of them."""

    place: Site
    sessions: int = 0
    sums: dict[str, int] = field(default_factory=dict)
    worst: list[tuple[int, int, Evidence]] = field(default_factory=list)

    @property
    def evidence(self) -> list[Evidence]:
        """Evidence of the group, worst first."""
        return [evidence for *_, evidence in sorted(self.worst, key=lambda entry: (-entry[0], -entry[1]))]


@dataclass(frozen=True, slots=True)
class Context:
    """Facts beside the group that the words of a finding may need."""

    completeness: Completeness
    names: Names
    total: int
    """Sessions with the group's server, with and without trouble."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A kind of trouble.

    `shows` returns a mask of the sessions that belong to its groups. `sums` are columns that are added up over a
    group: the first one ranks its sessions, and "affected" counts the sessions in trouble where not all of the group
    are. `words` returns (the problem, what to look at next), or None if it is negligible.
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
    """Column that separates groups at the same place; "" for none."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem in words. `sessions` is how many it affects."""

    kind: str
    what: str
    next: str
    sessions: int
    score: float
    evidence: list[Evidence]
