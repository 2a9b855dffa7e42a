"""Workloads that lose nothing -> what a capture of each costs, in the kernel and in the process."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from capture.benchmark import frames
from capture.benchmark.loads import Way
from capture.benchmark.measure import SNAPLEN, TMPFS, warm
from capture.benchmark.process import BICAP, Process
from capture.benchmark.progress import progress
from capture.benchmark.senders import BATCH
from capture.benchmark.tools import TOOL_CPU
from capture.benchmark.twins import Twins
from capture.kernel.cost import ENOUGH_RUNS
from capture.pcapng.blocks import packet_block_bytes

FULL_SPEED = 0
_CONVERSATIONS = 8
_RULE = "--source 10.0.0.0/29 --protocol udp"
"""Of the conversations that capture.benchmark.senders makes, the first eight."""
_BURSTS_PER_SECOND = 10
_LONG_BURST = 1 << 20
"""Packets, where no rate is held: the reader works while they come."""
_RING = 8 << 20
"""Bytes of one CPU's ring, at least: bursts that fit into less would be all beginnings."""
_FIRST = -(-ENOUGH_RUNS // BATCH) * BATCH
_PROCESS_BYTES = 256 << 20
_INTERFACES = {Way.IN: ["vb"], Way.OUT: ["out"], Way.BOTH: ["vb", "out"]}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """UDP packets of one size; a share of them match a rule, samplers keep a share of these, and `snaplen` bytes."""

    size: int
    rate: int
    """Packets per second, about: in bursts that fit into a ring."""
    matching: float = 1.0
    keeps: int = 1
    """One in so many of those that match is kept."""
    snaplen: int = SNAPLEN
    way: Way = Way.IN

    def __str__(self) -> str:
        rate = f"{self.rate / 1000:,.0f} kpps" if self.rate else "full speed"
        cut = [f"cut to {self.snaplen} B"] if self.snaplen < self.size else []
        match = [f"{self.matching:.0%} match"] if self.matching < 1 else []
        kept = [f"one in {self.keeps} kept"] if self.keeps > 1 else []
        return ", ".join([f"{self.size} B", *cut, rate, self.way, *match, *kept])

    @property
    def flows(self) -> int:
        """Conversations: those that match, among as many as make them their share."""
        return round(_CONVERSATIONS / self.matching) if self.matching else 1_000

    @property
    def options(self) -> list[str]:
        """What bicap is asked for."""
        rule = _RULE if self.matching else "--source 11.0.0.0/8 --protocol udp"
        sample = f" --sample packet:1/{self.keeps}" if self.keeps > 1 else ""
        where = " ".join(f"-i {name}" for name in _INTERFACES[self.way])
        return f"{where} -s {self.snaplen} {rule}{sample}".split()

    @property
    def seen_each(self) -> int:
        """How often a packet is seen."""
        return len(_INTERFACES[self.way])

    @property
    def captured_bytes(self) -> int:
        """Bytes that are kept of a packet."""
        return min(self.size, self.snaplen)

    @property
    def captured(self) -> float:
        """The share of packets seen that is captured."""
        return self.matching / self.keeps

    def held(self, ring_bytes: int) -> int:
        """Packets that three quarters of a ring hold, in whole batches of the sender."""
        fit = ring_bytes * 3 // 4 // (self.captured_bytes + 64) // self.seen_each
        return max(2, fit // BATCH) * BATCH

    def burst(self, ring_bytes: int) -> int:
        """Packets sent at once."""
        if self.rate == FULL_SPEED:
            return _LONG_BURST
        return min(self.held(ring_bytes), max(2, self.rate // _BURSTS_PER_SECOND // BATCH) * BATCH)


@dataclass(frozen=True)
class Observed:
    """What a run came to: packets seen per second; the sender's nanoseconds per packet seen that the capture added;
    the process's nanoseconds, and bytes of its file, per second; packets lost in the whole run."""

    workload: Workload
    rate: float
    kernel_ns: float
    process_ns: float
    file_bytes: float
    lost: int


TRAINING = (
    Workload(size=64, rate=10_000),
    Workload(size=64, rate=100_000, way=Way.OUT),
    Workload(size=64, rate=1_000_000),
    Workload(size=64, rate=1_000_000, way=Way.OUT),
    Workload(size=256, rate=500_000),
    Workload(size=1024, rate=150_000, way=Way.OUT),
    Workload(size=1514, rate=120_000),
    Workload(size=1514, rate=120_000, snaplen=128, way=Way.OUT),
    Workload(size=64, rate=1_000_000, matching=0.1),
    Workload(size=64, rate=1_000_000, matching=0.0),
    Workload(size=64, rate=1_000_000, matching=0.0, way=Way.OUT),
    Workload(size=64, rate=1_000_000, keeps=10),
    Workload(size=1024, rate=150_000, keeps=10, way=Way.OUT),
)


def observe(workload: Workload, seconds: float) -> Observed:
    """One run of about so many seconds."""
    cpus = os.cpu_count() or 1
    buffer = max(64 << 20, cpus * _RING)
    burst, first = workload.burst(buffer // cpus), min(workload.held(buffer // cpus), _FIRST)
    frame = frames.udp(workload.size)
    with (
        tempfile.TemporaryDirectory(dir=TMPFS) as folder,
        Twins(frame, workload.flows, workload.way is not Way.IN) as twins,
    ):
        file = f"{folder}/capture"
        words = [BICAP, "capture", *workload.options, "-q", "-w", file, "--ready-file", f"{file}.ready"]
        most = workload.captured * (workload.rate * seconds if workload.rate else 4 * _LONG_BURST * seconds)
        # What the tool's process takes of this memory at its start is not left for its file.
        warm(
            folder,
            _PROCESS_BYTES + round(1.5 * most * packet_block_bytes(workload.captured_bytes)),
        )
        with Process(
            twins.watched.netns,
            [*words, "--buffer", str(buffer)],
            f"{file}.log",
            lambda _: os.path.exists(f"{file}.ready"),
            cpu=TOOL_CPU,
        ) as process:
            # The kernel times the programs in their first packets: these are not for our clock.
            for _ in range(-(-ENOUGH_RUNS // first)):
                twins.send(first, 0, 0)
            began, used = time.monotonic(), process.cpu_seconds()
            bursts = twins.send(burst, 1 / _BURSTS_PER_SECOND, seconds)
            used, took = process.cpu_seconds() - used, time.monotonic() - began
        summary = json.loads(Path(f"{file}.json").read_text())
    account, seen = summary["account"], bursts.sent * workload.seen_each
    return Observed(
        workload,
        rate=seen / took,
        kernel_ns=statistics.median(bursts.added_ns) / workload.seen_each,
        process_ns=used * 1e9 / took,
        file_bytes=summary["file_bytes"] / account["seen"] * seen / took,
        lost=account["lost"],
    )


def observe_all(workloads: Sequence[Workload], repeat: int, seconds: float) -> list[list[Observed]]:
    """All of them in turn, so many times; a list of runs per workload."""
    found: list[list[Observed]] = [[] for _ in workloads]
    for number in range(repeat):
        for runs, workload in zip(found, workloads, strict=True):
            progress(f"round {number + 1} of {repeat}: {workload}")
            runs.append(observe(workload, seconds))
    progress("")
    return found
