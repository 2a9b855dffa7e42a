"""A capture in memory: CPUs whose programs fill rings and count, the real loop, the real output, and no kernel.

Packets go in with `packet`, one round of the loop is `round`; `blocks` is what the sink has of packets, and `account`
what became of all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from capture.abi import HOOKS, INBOUND, INTERFACE_COUNTERS, OUTBOUND, REVERSE
from capture.arrays.aliases import Longs
from capture.plan import Interface, make_plan, place_of
from capture.run import section
from capture.run.account import Account, check
from capture.run.drain import Drain, Round
from capture.run.ledger import Ledger
from capture.run.limits import Limits
from capture.run.output import Output
from capture.run.reason_events import ReasonEvents
from capture.run.roster import Roster
from capture.spec import CaptureSpec, Hook
from capture.stream.clock import SETTLE_NS, WallClock
from capture.stream.compiled.cursors import NEVER
from testbed.foreign_blocks import enhanced
from tests.unit.run.sinks import FakeSink
from tests.unit.stream.memory_rings import Captured, FakeRings, captured

STEP_NS = 10 * SETTLE_NS
"""Time between two rounds."""


@dataclass(frozen=True)
class SentPacket:
    """A packet that a program saw; time is CLOCK_MONOTONIC, ns."""

    at: int
    data: bytes
    reverse: bool = False

    @property
    def flags(self) -> int:
        return OUTBOUND | REVERSE if self.reverse else INBOUND

    @property
    def captured(self) -> Captured:
        return captured(self.at, self.data, flags=self.flags)

    @property
    def block(self) -> bytes:
        return enhanced("<", self.data, self.at, flags=self.flags & 3)


def blocks_of(packets: Sequence[SentPacket]) -> bytes:
    return b"".join(packet.block for packet in packets)


@dataclass
class MemorySource:
    """A record source without a kernel: it handles matched packets as the programs do."""

    rings: FakeRings
    batches: list[list[SentPacket]] = field(init=False)
    flushed_before: list[int] = field(default_factory=list)
    """Arguments of `flush`, ns."""
    reported: list[list[int]] = field(default_factory=list)
    """Bytes that waited in each ring, as the loop reported them after each round."""

    def __post_init__(self) -> None:
        rings = self.rings
        self.memory = rings.memory
        self.batches = [[] for _ in range(rings.cpus)]
        self.rows = np.zeros(HOOKS, INTERFACE_COUNTERS)

    def _count(self, packet: SentPacket, **more: int) -> None:
        row = self.rows[0]
        for name, count in more.items():
            row["reverse" if packet.reverse else "forward"][name] += count

    def packet(self, cpu: int, packet: SentPacket, wait: bool = False) -> bool:
        """Match a packet: into the ring of its CPU behind its batch, or with `wait` into the batch.

        False if it is lost because there is no room.
        """
        self.rows[0]["seen"] += 1
        self._count(packet, matched=1)
        batch = self.batches[cpu]
        fits = sum(len(one.block) for one in [*batch, packet]) <= self.rings.data_bytes // 2
        if not wait or not fits:
            self._submit(cpu)
        if not batch and not wait and self.rings.fits(cpu, packet.captured):
            self.rings.put(cpu, packet.captured)
        elif wait and (not batch or fits):
            batch.append(packet)
        else:
            self._count(packet, lost_ring_full=1)
            return False
        return True

    def _submit(self, cpu: int) -> None:
        packets = [packet.captured for packet in self.batches[cpu]]
        if packets and self.rings.fits(cpu, *packets):
            self.rings.put(cpu, *packets)
            self.batches[cpu].clear()

    def flush(self, before_ns: int) -> int:
        self.flushed_before.append(before_ns)
        for cpu, batch in enumerate(self.batches):
            if batch and batch[0].at < before_ns:
                self._submit(cpu)
        return min((batch[0].at for batch in self.batches if batch), default=NEVER)

    def stamp_with(self, wall_offset_ns: int) -> None:
        self.rings.offset_ns = wall_offset_ns

    def report(self, heads: Longs, read: Longs, now_ns: int) -> None:
        self.reported.append((heads - read).tolist())


class Machine:
    """A capture of one interface. The clock moves only in `round`, and when a test adds to `now`."""

    def __init__(
        self,
        cpus: int = 1,
        ring_bytes: int = 1 << 16,
        sink: FakeSink | None = None,
        events: ReasonEvents | None = None,
        overflow_bytes: int = 0,
        **fields: Any,
    ) -> None:
        spec = CaptureSpec(interfaces=("va",), **fields)
        self.plan = make_plan(spec, [place_of(Interface("va", 1, 2))], Hook.TCX, [0], batching=True)
        self.now = 0
        self.sink = sink or FakeSink()
        self.source = MemorySource(FakeRings(cpus, ring_bytes, overflow_bytes=overflow_bytes))
        self.source.rows = np.zeros(self.plan.rows, INTERFACE_COUNTERS)
        self.ledger, self.limits, self.roster = Ledger(self.plan.slots), Limits(spec), Roster()
        self.roster.add(self.plan.interfaces[0], self.now)
        if self.plan.events is not None:
            self.roster.add(self.plan.events, self.now)
        self.output = Output(self.plan, self.roster, self.sink, self.ledger, self.limits, self._accounts)
        self.output.begin("synchronised", 0, self.now)
        self.sink.arrive(1)
        self.clock = WallClock(0, "synchronised")
        self.drain = Drain(
            self.source,
            self.output,
            self.ledger,
            self.limits,
            self.clock,
            now=lambda: self.now,
            events=events,
            slot_of_events=1,
        )

    def _accounts(self) -> list[Account]:
        return self.ledger.accounts(self.source.rows)

    @property
    def opening(self) -> bytes:
        """The opening blocks of each file."""
        interfaces = [member.planned for member in self.roster.members]
        return section.opening(self.plan, interfaces, self.roster.present, {}, "synchronised", 0)

    def closing(self, account: Account, start_ns: int, end_ns: int) -> bytes:
        """Return the closing blocks of a file."""
        return section.closing([section.Span(0, account, start_ns, end_ns)])

    @property
    def blocks(self) -> bytes:
        """The bytes that have arrived in the first file behind its opening."""
        assert self.sink.content[0].startswith(self.opening)
        return self.sink.content[0].removeprefix(self.opening)

    def packets(self, cpu: int, *packets: SentPacket, wait: bool = False) -> list[SentPacket]:
        """Let the program of a CPU match packets. Returns those that were not lost."""
        return [packet for packet in packets if self.source.packet(cpu, packet, wait)]

    def round(self) -> Round:
        """Advance the clock, and run one round."""
        self.now += STEP_NS
        return self.drain.round()

    def settle(self) -> None:
        """Run rounds until all packets so far are older than an earlier round."""
        for _ in range(2):
            while self.round().full:
                pass

    def unread(self) -> list[int]:
        """Return the bytes in each ring that were not released."""
        rings = self.source.rings
        return [
            int(rings.longs[rings.control(cpu, 0)] - rings.longs[rings.control(cpu, 1)]) for cpu in range(rings.cpus)
        ]

    def end(self) -> Account:
        """End the capture: no packet comes any more, and accounts must add up. Returns the account."""
        self.now += STEP_NS
        self.drain.finish()
        assert self.unread() == [0] * len(self.unread())
        assert self.source.rings.overflows == 0
        self.output.end(self.now, 0, "")
        account = self._accounts()[0]
        check([account])
        return account


def at(packet: SentPacket, time: int) -> SentPacket:
    """Return the packet with another time, as a file may have it."""
    return replace(packet, at=time)
