"""Names -> loads: what passes the interface where the tools listen, and the filter that they all get."""

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_PACKETS = 2_048_000
_EIGHT = "src net 10.0.0.0/29"
"""Of the conversations that capture.benchmark.senders makes, the first eight."""
_IMIX = (64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64)
"""Sizes of packets in turn, bytes: the "simple IMIX", 7 to 4 to 1."""


class Way(StrEnum):
    """Which of the interface's two hooks sees the packets."""

    IN = "received"
    OUT = "sent"
    BOTH = "received and sent in turn"


@dataclass(frozen=True, kw_only=True)
class BenchLoad:
    """UDP packets of one size; `senders` CPUs send, each packet of another of `flows` conversations."""

    name: str
    size: int = 64
    flows: int = 1
    senders: int = 1
    links: int = 1
    """Interfaces where the tools listen; with more than one, each has a sender of its own."""
    rate: float | None = None
    """Packets per second of all senders together, in bursts of 20 ms; None for full speed."""
    mix: tuple[int, ...] = ()
    """Sizes that packets have in turn, instead of the one; `size` is their mean. Both directions take turns, too."""
    way: Way = Way.IN
    expression: str = ""
    hits: float = 1.0
    """The share of packets that fit the expression."""
    disk: bool = False
    """Files go to a disk, not to tmpfs."""

    @property
    def packets(self) -> int:
        """Packets of a run, whole batches of the sender; of large ones fewer, because they fill memory."""
        return DEFAULT_PACKETS if self.size <= 128 else DEFAULT_PACKETS * 256 // self.size >> 12 << 12

    @property
    def pairs(self) -> int:
        """Pairs of veths that the load needs. What a mix sends from the interface comes to it by a second pair."""
        return 2 if self.mix else self.links

    def received(self, sent: int) -> int:
        """How many of those that were sent are received by an interface; the others are put into its queue."""
        if self.mix:
            return sent
        return {Way.IN: sent, Way.OUT: 0, Way.BOTH: sent // 2}[self.way]

    def expected(self, sent: int) -> int:
        """How many of those that were sent a tool has to write."""
        return round(sent * self.hits)


LOADS = {
    load.name: load
    for load in (
        BenchLoad(name="64 B"),
        BenchLoad(name="128 B", size=128),
        BenchLoad(name="512 B", size=512),
        BenchLoad(name="1514 B", size=1514),
        BenchLoad(name="64 B, 1000 flows", flows=1_000),
        BenchLoad(name="64 B, 1 M flows", flows=1_000_000),
        BenchLoad(name="hit 100 %", flows=8, expression=_EIGHT),
        BenchLoad(name="hit 10 %", flows=80, expression=_EIGHT, hits=0.1),
        BenchLoad(name="hit 1 %", flows=800, expression=_EIGHT, hits=0.01),
        BenchLoad(name="hit 0 %", flows=800, expression="src net 11.0.0.0/8", hits=0.0),
        BenchLoad(name="64 B sent", way=Way.OUT),
        BenchLoad(name="64 B both ways", way=Way.BOTH),
        BenchLoad(name="64 B, 2 senders", senders=2),
        BenchLoad(name="64 B, 2 links", senders=2, links=2, rate=1e6),
        BenchLoad(name="IMIX, 1000 flows", size=round(sum(_IMIX) / len(_IMIX)), mix=_IMIX, flows=1_000, way=Way.BOTH),
        BenchLoad(name="64 B to disk", disk=True),
        BenchLoad(name="1514 B to disk", size=1514, disk=True),
    )
}
