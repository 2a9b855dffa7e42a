"""Names -> loads: what passes the interface where the tools listen, and the filter that they all get."""

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_PACKETS = 2_048_000
_EIGHT = "src net 10.0.0.0/29"
"""Of the conversations that capture.benchmark.senders makes, the first eight."""


class Way(StrEnum):
    """Which of the interface's two hooks sees the packets."""

    IN = "received"
    OUT = "sent"
    BOTH = "received and sent in turn"


@dataclass(frozen=True, kw_only=True)
class BenchLoad:
    """UDP packets of one size at full speed; `senders` CPUs send, each packet of another of `flows` conversations."""

    name: str
    size: int = 64
    flows: int = 1
    senders: int = 1
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

    def received(self, sent: int) -> int:
        """How many of those that were sent come to the interface; it sends the others itself."""
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
        BenchLoad(name="64 B to disk", disk=True),
        BenchLoad(name="1514 B to disk", size=1514, disk=True),
    )
}
