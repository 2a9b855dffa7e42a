"""A seed -> a TCP connection packet by packet, as its ends made it, and what a capture point on its path saw of it.

Both ends are small TCPs: cumulative acknowledgments, segments out of order kept, repetition after a timeout and after
three acknowledgments of the same number, FIN. The path loses, delays and overtakes packets on both sides of the
point. What happened is kept beside each packet, so that a test knows it.
"""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from testbed import packets

S, A, F = packets.SYN, packets.ACK, packets.FIN
ENDS = (("10.0.0.1", 40_000), ("10.0.0.2", 80))
_CIRCLE = 1 << 32


@dataclass
class PathPacket:
    """A packet; numbers count from the side's SYN, which has 0. `passed_ms`: when it passed the point, if it did."""

    side: int
    sent_ms: float
    flags: int
    start: int
    acknowledges: int
    payload: int
    identification: int
    stamps: tuple[int, int] | None
    again: bool
    """Some of its numbers had been sent before."""
    passed_ms: float | None = None
    order: int = 0
    """How many packets were sent before it."""

    @property
    def end(self) -> int:
        return self.start + self.payload + bool(self.flags & S) + bool(self.flags & F)


@dataclass
class Path:
    """Chances and times of one connection, ms."""

    loss: float = 0.0
    overtaking: float = 0.0
    overtaken_ms: float = 0.0
    delays_ms: tuple[float, float] = (1.0, 3.0)
    timestamps: bool = True
    counting: bool = True


@dataclass
class End:
    """One side: how much it says, and what it has sent and heard."""

    side: int
    first: int
    says: int
    stamps: bool
    counting: bool
    chance: random.Random
    sent: int = 0
    acknowledged: int = 0
    heard: int = 0
    other_open: bool = False
    later: set[tuple[int, int]] = field(default_factory=set)
    repeated: int = 0
    alike: int = 0
    tries: int = 0
    identification: int = 0
    echo: int = 0
    deadline_ms: float = 0.0

    @property
    def last(self) -> int:
        """Number behind its FIN."""
        return self.says + 2

    def packet(self, now: float, start: int, size: int, flags: int) -> PathPacket:
        self.identification = (self.identification + 1 + self.chance.randrange(3)) & 0xFFFF
        if not self.counting:
            self.identification = self.chance.randrange(1, 1 << 16)
        stamps = (1 + int(now), self.echo) if self.stamps else None
        end = start + size + bool(flags & S) + bool(flags & F)
        again = end > start and start < self.sent
        self.sent = max(self.sent, end)
        return PathPacket(self.side, now, flags, start, self.heard, size, self.identification or 1, stamps, again)

    def segments(self, now: float, window: int = 16_000, size: int = 1000) -> Iterator[PathPacket]:
        """Return what may be sent now: data in the window, then the FIN."""
        while 1 <= self.sent < self.last and self.other_open and self.sent - self.acknowledged < window:
            yield self.segment(now, self.sent, size)

    def segment(self, now: float, start: int, size: int = 1000) -> PathPacket:
        if start == 0:
            return self.packet(now, 0, 0, S | (A if self.side else 0))
        left = self.says + 1 - start
        return self.packet(now, start, min(left, size), A | (F if left <= size else 0))

    def hear(self, packet: PathPacket) -> bool:
        """Take a packet. Return True if it must be acknowledged."""
        if packet.flags & A:
            if packet.acknowledges > self.acknowledged:
                self.acknowledged, self.alike, self.tries = packet.acknowledges, 0, 0
            elif packet.end == packet.start and self.acknowledged < self.sent:
                self.alike += 1
        if self.acknowledged or (packet.flags & S and not self.side):
            self.other_open = True
        if packet.stamps and packet.start <= self.heard:
            self.echo = packet.stamps[0]
        self.later.add((packet.start, packet.end))
        while following := [end for start, end in self.later if start <= self.heard < end]:
            self.heard = max(following)
        return packet.end > packet.start


def connection(chance: random.Random, path: Path, start_ms: float = 0.0) -> tuple[list[PathPacket], tuple[int, int]]:
    """Return all packets in the order in which they were sent, and the first numbers of both sides."""
    firsts = (chance.randrange(_CIRCLE), chance.randrange(_CIRCLE))
    ends = [
        End(side, firsts[side], chance.randrange(1, 20_000), path.timestamps, path.counting, chance)
        for side in (0, 1)
    ]
    for end in ends:
        end.identification = chance.randrange(1 << 16)
    made: list[PathPacket] = []
    events: list[tuple[float, int, int, PathPacket | None]] = []

    def put(packet: PathPacket) -> None:
        packet.order = len(made)
        made.append(packet)
        near, far = path.delays_ms if packet.side == 0 else path.delays_ms[::-1]
        late = [path.overtaken_ms * chance.random() * (chance.random() < path.overtaking) for _ in (0, 1)]
        if chance.random() >= path.loss:
            packet.passed_ms = packet.sent_ms + near + late[0]
            if chance.random() >= path.loss:
                heapq.heappush(events, (packet.passed_ms + far + late[1], len(made), 1 - packet.side, packet))
        end = ends[packet.side]
        if packet.end > packet.start:
            end.deadline_ms = packet.sent_ms + 300 * 2 ** min(end.tries, 6)
            heapq.heappush(events, (end.deadline_ms, len(made), packet.side, None))

    put(ends[0].segment(start_ms, 0))
    while events and len(made) < 2000:
        now, _, side, packet = heapq.heappop(events)
        end = ends[side]
        if packet is not None and side == 0 and not end.heard and not packet.flags & S:
            continue  # before the SYN-ACK
        if packet is None:
            if now >= end.deadline_ms and end.acknowledged < end.sent and end.tries < 8:
                end.tries += 1
                put(end.segment(now, end.acknowledged))
            continue
        before = len(made)
        must_answer = end.hear(packet)
        if side == 1 and packet.flags & S and end.sent == 0:
            put(end.segment(now, 0))
        if end.alike == 3 and end.acknowledged:
            put(end.segment(now, end.acknowledged))
        for one in end.segments(now):
            put(one)
        if must_answer and len(made) == before:
            put(end.packet(now, end.sent, 0, A))
    return made, firsts


def content(side: int, start: int, end: int) -> bytes:
    """Return what a side says between two numbers."""
    return bytes((7 * number + number // 256 + side) & 0xFF for number in range(start, end))


def frame(packet: PathPacket, firsts: tuple[int, int]) -> bytes:
    """Return the bytes of a packet."""
    side = packet.side
    made = packets.tcp(
        *ENDS[side],
        *ENDS[1 - side],
        packet.flags,
        content(side, packet.start, packet.end)[: packet.payload],
        sequence=(firsts[side] + packet.start) % _CIRCLE,
        acknowledgment=(firsts[1 - side] + packet.acknowledges) % _CIRCLE if packet.flags & A else 0,
        timestamps=packet.stamps,
    )
    return made[:18] + packet.identification.to_bytes(2, "big") + made[20:]


def passed(made: list[PathPacket]) -> list[tuple[float, PathPacket]]:
    """Return the packets that passed the point, in order of time."""
    seen = [(one.passed_ms, at, one) for at, one in enumerate(made) if one.passed_ms is not None]
    return [(ms, one) for ms, _, one in sorted(seen, key=lambda seen: seen[:2])]
