"""Runs of a load and a tool -> one line; lines -> medians, spreads and ratios.

A line has all runs of one tool with one load, and what they depend on: commit, kernel, CPU. Everything that is
printed, plotted or checked comes from these lines.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from capture.benchmark.loads import BenchLoad
from capture.benchmark.measure import Run
from capture.benchmark.tools import machine

NOTHING = "nothing"
REFERENCE = "tcpdump"
"""The tool whose price is 1."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """Values have one entry per run, in order of the rounds. Times are nanoseconds per packet, memory MiB."""

    load: str
    tool: str
    size: int
    sent: int
    expected: Sequence[int]
    """What a tool should have written: fewer than were sent, where the filter or the link itself drops some."""
    sender_ns: Sequence[float]
    cpu_ns: Sequence[float] = field(default_factory=list)
    dropped: Sequence[int] = field(default_factory=list)
    lost: Sequence[int] = field(default_factory=list)
    rss_mib: Sequence[float] = field(default_factory=list)
    file_bytes: Sequence[int] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=dict)

    @property
    def lost_most(self) -> int:
        """Of the worst run."""
        return max(self.lost, default=0)

    @property
    def lost_shares(self) -> list[float]:
        """Of what should have been written, per run; none where that is nothing."""
        return [lost / expected for lost, expected in zip(self.lost, self.expected, strict=False) if expected]

    @property
    def wanted_share(self) -> float:
        """Share of the packets at the interface that a tool should write; 1 where that is none, as for `cpu_ns`."""
        passed = self.sent * len(self.expected) - sum(self.dropped)
        return sum(self.expected) / passed or 1.0


def line_of(load: BenchLoad, tool: str, runs: Sequence[Run]) -> Line:
    """All runs of a tool with a load."""
    results = [run.tool for run in runs if run.tool]
    return Line(
        load=load.name,
        tool=tool,
        size=load.size,
        sent=runs[0].sent,
        expected=[run.expected for run in runs],
        sender_ns=[run.sender_ns for run in runs],
        cpu_ns=[run.cpu_ns for run in runs if run.tool],
        dropped=[run.dropped for run in runs],
        lost=[run.lost for run in runs if run.tool],
        rss_mib=[result.peak_rss_mib for result in results],
        file_bytes=[result.file_bytes for result in results],
        machine=machine(),
    )


def spread(values: Sequence[float]) -> str:
    """Median, least and most: 57 (54-58)."""
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


class Results:
    """Lines by load and tool, and what follows from them; HTTP's latency by tool, where it was measured."""

    def __init__(self, lines: Iterable[Line], p99_us: Mapping[str, float] | None = None) -> None:
        self.p99_us = p99_us or {}
        self._lines = {(line.load, line.tool): line for line in lines}
        self.loads = list(dict.fromkeys(load for load, _ in self._lines))

    def tools(self, load: str) -> list[Line]:
        """All lines of a load, that without a tool first."""
        found = [line for line in self._lines.values() if line.load == load]
        return sorted(found, key=lambda line: line.tool != NOTHING)

    def line(self, load: str, tool: str) -> Line | None:
        """The line of a load and a tool, if it was measured."""
        return self._lines.get((load, tool))

    def added_ns(self, load: str, tool: str) -> float | None:
        """What the sender pays per packet for the tool."""
        line, alone = self.line(load, tool), self.line(load, NOTHING)
        if line is None or alone is None:
            return None
        return statistics.median(line.sender_ns) - statistics.median(alone.sender_ns)

    def cpu_ns(self, load: str, tool: str) -> float | None:
        """The tool's own time per packet."""
        line = self.line(load, tool)
        return statistics.median(line.cpu_ns) if line and line.cpu_ns else None

    def node_ns(self, load: str, tool: str) -> float | None:
        """What the node pays per packet at the interface: what is added to the sender, and the tool's own time."""
        line, added, own = self.line(load, tool), self.added_ns(load, tool), self.cpu_ns(load, tool)
        return None if line is None or added is None or own is None else added + own * line.wanted_share

    def node_ratio(self, load: str, tool: str) -> float | None:
        """What the node pays for the tool, through what it pays for tcpdump in the same run."""
        ours, theirs = self.node_ns(load, tool), self.node_ns(load, REFERENCE)
        return None if ours is None or theirs is None or theirs <= 0 else ours / theirs

    def as_json(self) -> list[dict[str, Any]]:
        """An object per line: its runs, and the medians that follow from the other lines of its load."""
        return [
            asdict(line)
            | {
                "added_ns": self.added_ns(line.load, line.tool),
                "node_ns": self.node_ns(line.load, line.tool),
                "node_ratio": self.node_ratio(line.load, line.tool),
            }
            for load in self.loads
            for line in self.tools(load)
        ]
