"""Workloads at rates where nothing is lost -> what each cost, in the kernel and in the process."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.link import Link
from bench.loads import Load
from bench.measure import SNAPLEN, TMPFS, warm
from bench.source import Source
from bench.tools import tools

_CONVERSATIONS = 8
_RULE = "--source 10.0.0.0/29 --protocol udp"
"""Of the conversations that bench.senders makes, the first eight."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """UDP packets of one size at a rate; a share of them match a rule, and samplers keep a share of these."""

    size: int
    rate: int
    matching: float = 1.0
    keeps: int = 1
    """One in so many of those that match is kept."""

    def __str__(self) -> str:
        kept = f", one in {self.keeps} kept" if self.keeps > 1 else ""
        return f"{self.size} B, {self.rate / 1000:,.0f} kpps, {self.matching:.0%} match{kept}"

    @property
    def load(self) -> Load:
        """What is sent: the conversations that match, among as many as make them their share."""
        flows = round(_CONVERSATIONS / self.matching) if self.matching else 1_000
        return Load(name=str(self), size=self.size, flows=flows)

    @property
    def options(self) -> str:
        """What bicap is asked for."""
        rule = _RULE if self.matching else "--source 11.0.0.0/8 --protocol udp"
        return rule + (f" --sample packet:1/{self.keeps}" if self.keeps > 1 else "")

    @property
    def captured(self) -> float:
        """The share of all packets that is captured."""
        return self.matching / self.keeps


@dataclass(frozen=True)
class Observed:
    """The sender's nanoseconds per packet that the capture added; the process's per second; bytes per second."""

    workload: Workload
    rate: float
    kernel_ns: float
    process_ns: float
    file_bytes: float
    lost: int


TRAINING = (
    Workload(size=64, rate=20_000),
    Workload(size=64, rate=1_000_000),
    Workload(size=64, rate=100_000),
    Workload(size=256, rate=700_000),
    Workload(size=1024, rate=400_000),
    Workload(size=1514, rate=300_000),
    Workload(size=64, rate=1_000_000, matching=0.1),
    Workload(size=64, rate=1_000_000, matching=0.0),
    Workload(size=64, rate=1_000_000, keeps=10),
    Workload(size=1024, rate=400_000, keeps=10),
    Workload(size=512, rate=100_000),
)
HELD_OUT = (
    Workload(size=128, rate=500_000),
    Workload(size=512, rate=600_000),
    Workload(size=1400, rate=200_000),
    Workload(size=64, rate=800_000, matching=0.5),
    Workload(size=512, rate=300_000, keeps=4),
    Workload(size=64, rate=30_000),
)


def observe(workload: Workload, seconds: float) -> Observed:
    """One run without the capture and one with it, of about so many seconds each."""
    load, count = workload.load, round(workload.rate * seconds)
    (bicap,) = (tool for tool in tools(bicap_options=workload.options) if tool.name == "bicap")
    with Link() as link, tempfile.TemporaryDirectory(dir=TMPFS) as folder:
        with Source(link, load) as source:
            source.pace(count // 4, workload.rate)
            alone = source.pace(count, workload.rate)
        warm(folder, round(1.5 * count * workload.captured * (workload.size + 64)))
        with Source(link, load) as source, bicap.start(link.netns, "vb", f"{folder}/capture", SNAPLEN) as running:
            paced = source.pace(count, workload.rate)
            result = running.stop()
    return Observed(
        workload,
        paced.sent / paced.seconds,
        paced.active_ns - alone.active_ns,
        result.cpu_seconds * 1e9 / paced.seconds,
        result.file_bytes / paced.seconds,
        max(0, matched(workload, paced.sent) - result.written) if workload.keeps == 1 else 0,
    )


def matched(workload: Workload, sent: int) -> int:
    """How many of the packets sent match: conversations take turns."""
    if not workload.matching:
        return 0
    flows = workload.load.flows
    return sent // flows * _CONVERSATIONS + min(sent % flows, _CONVERSATIONS)


def observe_all(
    workloads: Sequence[Workload], repeat: int, seconds: float, told: Callable[[str], None]
) -> list[list[Observed]]:
    """All of them in turn, so many times; a list of runs per workload."""
    found: list[list[Observed]] = [[] for _ in workloads]
    for number in range(repeat):
        for runs, workload in zip(found, workloads, strict=True):
            told(f"round {number + 1} of {repeat}: {workload}")
            runs.append(observe(workload, seconds))
    return found
