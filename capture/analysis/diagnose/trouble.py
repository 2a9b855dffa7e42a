"""What a kind of trouble is, and what is gathered of it: groups of sessions at one site, evidence, findings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from capture.analysis.packets.completeness import Completeness
from capture.arrays.aliases import Mask, Table
from capture.wire.addresses import Names, place_text

EVIDENCE = 5
"""Sessions that are shown of a group."""

Column = Callable[[Table, str], Any]
"""(sessions, "client" or "server") -> a value for each session."""


@dataclass(frozen=True, slots=True)
class Site:
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

    place: Site
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
class Trouble:
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
