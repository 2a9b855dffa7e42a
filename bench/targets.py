"""Results -> what was asked of bicap, as ratios of the same run, and whether each is met."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from capture.benchmark.results import NOTHING, REFERENCE, Results

Ratio = Callable[[Results], float | None]


@dataclass(frozen=True)
class Goal:
    """A ratio that should not be above its bound."""

    name: str
    bound: float
    ratio: Ratio

    def met_by(self, ratio: float) -> bool:
        """Two digits are as much as a measurement has; where nothing is allowed, nothing is."""
        return round(ratio, 2) <= self.bound if self.bound else ratio == 0


def _cpu(load: str, against: str) -> Ratio:
    def ratio(results: Results) -> float | None:
        ours, theirs = results.cpu_ns(load, "bicap"), results.cpu_ns(load, against)
        return ours / theirs if ours and theirs else None

    return ratio


def _added(load: str, against: str = REFERENCE, against_load: str | None = None) -> Ratio:
    def ratio(results: Results) -> float | None:
        ours, theirs = results.added_ns(load, "bicap"), results.added_ns(against_load or load, against)
        return ours / theirs if ours is not None and theirs else None

    return ratio


def _node(load: str) -> Ratio:
    return lambda results: results.node_ratio(load, "bicap")


def _both_ways(results: Results) -> float | None:
    """CPU per packet of both directions, through the mean of one."""
    both, received, sent = (results.cpu_ns(load, "bicap") for load in ("64 B both ways", "64 B", "64 B sent"))
    return both / statistics.mean([received, sent]) if both and received and sent else None


def _latency(results: Results) -> float | None:
    """Through the middle between that without a tool and tcpdump's."""
    ours, alone, theirs = (results.p99_us.get(tool) for tool in ("bicap", NOTHING, REFERENCE))
    return 2 * ours / (alone + theirs) if ours and alone and theirs else None


def _lost(load: str) -> Ratio:
    """The worst share, for a load of which tcpdump loses nothing: what no tool can take, nobody has to."""

    def lost(results: Results) -> float | None:
        ours, theirs = results.line(load, "bicap"), results.line(load, REFERENCE)
        return max(ours.lost_shares) if ours and theirs and ours.lost_shares and not theirs.lost_most else None

    return lost


_SIZES = ("64 B", "128 B", "512 B", "1514 B")
TARGETS = [
    *(Goal(f"lost at full speed, {load}", 0.0, _lost(load)) for load in _SIZES),
    Goal("what a node pays through tcpdump's, 64 B", 0.55, _node("64 B")),
    *(Goal(f"what a node pays through tcpdump's, {load}", 0.7, _node(load)) for load in ("512 B", "1514 B")),
    *(Goal(f"CPU per packet through tcpdump's, {load}", 0.65, _cpu(load, REFERENCE)) for load in _SIZES),
    Goal("CPU per packet through tcpdump's, 64 B to disk", 0.55, _cpu("64 B to disk", REFERENCE)),
    *(Goal(f"CPU per packet through dumpcap's, {load}", 0.15, _cpu(load, "dumpcap")) for load in _SIZES),
    *(Goal(f"added to the sender through tcpdump's, {load}", 0.85, _added(load)) for load in _SIZES),
    Goal(
        "added for what does not match, through tcpdump's full capture", 0.25, _added("hit 0 %", against_load="64 B")
    ),
    Goal("CPU per packet of both directions through one", 1.05, _both_ways),
    Goal("HTTP p99 through the middle of tcpdump's and none", 1.0, _latency),
]


def verdicts(results: Results) -> Iterator[tuple[Goal, float]]:
    """Each target that was measured, and its ratio."""
    for target in TARGETS:
        ratio = target.ratio(results)
        if ratio is not None:
            yield target, ratio


def rows(results: Results) -> list[tuple[str, ...]]:
    """A row per target: what, ratio, bound, whether it is met."""
    return [
        (target.name, f"{ratio:.2f}", f"{target.bound:.2f}", "met" if target.met_by(ratio) else "not met")
        for target, ratio in verdicts(results)
    ]
