"""A load and a tool -> what one run cost the sender and the tool, and what the tool wrote."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from capture.benchmark.load_source import LoadSource
from capture.benchmark.loads import BenchLoad
from capture.benchmark.tools import TOOL_CPU, Tool, ToolResult
from capture.benchmark.veth_pair import VethPair

T = TypeVar("T")
TMPFS, DISK = "/dev/shm", "/var/tmp"
SNAPLEN = 262_144


@dataclass(frozen=True)
class Run:
    """What one run cost and caught; without a tool no more than packets.

    `sender_ns` is a sending CPU's time per packet, without pauses; `rate` is packets per second, with them. `dropped`
    are packets that the link itself had no room for: the interface never saw them, and no tool can.
    """

    sender_ns: float
    rate: float
    sent: int
    dropped: int
    expected: int
    tool: ToolResult | None = None

    @property
    def lost(self) -> int:
        """Packets that the tool should have written."""
        return self.expected - self.tool.written if self.tool else 0

    @property
    def cpu_ns(self) -> float:
        """The tool's time per packet that it wrote; where it writes none, per packet sent."""
        assert self.tool
        return self.tool.cpu_seconds * 1e9 / (self.tool.written or self.sent)


def warm(folder: str, size: int) -> None:
    """Touch the memory that the run's file will take: a virtual machine's first touch of a page costs its host."""
    with open(f"{folder}/warm", "wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    os.unlink(f"{folder}/warm")


def measure(link: VethPair, load: BenchLoad, tool: Tool | None, folder: str, rate: float | None = None) -> Run:
    """One run, at the load's speed or at a rate (packets per second), with a file in the folder."""
    with LoadSource(link, load) as source:
        if tool is None:
            return _send(link, load, source, rate)
        warm(folder, round(1.5 * load.expected(load.packets) * (load.size + 64)))
        file = f"{folder}/capture"
        cpu = TOOL_CPU if load.senders == 1 else None
        where = [pair.name for pair in link.pairs[: load.links]]
        with link.without_xdp(tool.brings_xdp), tool.start(link.netns, where, file, SNAPLEN, cpu) as running:
            run = _send(link, load, source, rate)
            result = running.stop()
        for left in Path(folder).glob("capture*"):
            left.unlink()
    return replace(run, tool=result)


def _send(link: VethPair, load: BenchLoad, source: LoadSource, rate: float | None) -> Run:
    count, before = load.packets, _arrived(link)
    rate = rate or load.rate
    if rate is None:
        sender_ns = source.send(count)
        rate = load.senders * 1e9 / sender_ns
    else:
        paced = source.pace(count, rate)
        count, sender_ns, rate = paced.sent, paced.active_ns, paced.sent / paced.seconds
    dropped = load.received(count) - (_arrived(link) - before)
    return Run(sender_ns, rate, count, dropped, load.expected(count - dropped))


def _arrived(link: VethPair) -> int:
    return sum(link.counters(pair.name)[0] for pair in link.pairs)


def rounds(contestants: Sequence[T], repeat: int) -> Iterator[tuple[int, T]]:
    """Every contestant once a round, and each round begins with another: (number of the round, contestant)."""
    for number in range(repeat):
        turn = number % len(contestants)
        for one in (*contestants[turn:], *contestants[:turn]):
            yield number, one
