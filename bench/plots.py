"""Results -> PNG pictures of what tools cost: by size of the packets, and by how many of them match."""

import statistics
from collections.abc import Callable
from pathlib import Path

import matplotlib

from capture.benchmark.results import Line, Results

matplotlib.use("Agg")
from matplotlib import pyplot

SIZES = ("64 B", "128 B", "512 B", "1514 B")
COLOURS = {"bicap": "#1f77b4", "tcpdump": "#ff7f0e", "dumpcap": "#7f7f7f"}
HITS = ("hit 100 %", "hit 10 %", "hit 1 %", "hit 0 %")


def bars(
    results: Results, loads: tuple[str, ...], value: Callable[[Line], list[float]], title: str, unit: str, path: Path
) -> None:
    """A group of bars per load, one per tool: medians, with the least and the most as whiskers."""
    figure, axes = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
    width = 0.8 / len(COLOURS)
    for place, (tool, colour) in enumerate(COLOURS.items()):
        found = [(at, line) for at, load in enumerate(loads) if (line := results.line(load, tool))]
        middles = [statistics.median(value(line)) for _, line in found]
        reach = [
            [max(0.0, middle - min(value(line))) for middle, (_, line) in zip(middles, found, strict=True)],
            [max(0.0, max(value(line)) - middle) for middle, (_, line) in zip(middles, found, strict=True)],
        ]
        at = [at + (place - 1) * width for at, _ in found]
        drawn = axes.bar(at, middles, width, yerr=reach, capsize=2, color=colour, label=tool)
        axes.bar_label(drawn, fmt="%.0f", fontsize=8, padding=2)
    axes.set_xticks(range(len(loads)), loads)
    axes.set_ylabel(unit)
    axes.set_title(title, fontsize=10)
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw(results: Results, folder: Path) -> None:
    """All pictures."""

    def cpu(line: Line) -> list[float]:
        return list(line.cpu_ns)

    def added(line: Line) -> list[float]:
        alone = results.line(line.load, "nothing")
        assert alone
        return [ns - statistics.median(alone.sender_ns) for ns in line.sender_ns]

    def lost(line: Line) -> list[float]:
        return [100 * share for share in line.lost_shares]

    sizes = tuple(load for load in SIZES if load in results.loads)
    hits = tuple(load for load in HITS if load in results.loads)
    bars(results, sizes, cpu, "CPU time of the capture process", "ns per packet written", folder / "cpu.png")
    bars(results, sizes, added, "What the sender pays", "ns per packet, added", folder / "sender.png")
    bars(results, sizes, lost, "Lost at full speed", "% of what was sent", folder / "lost.png")
    bars(results, hits, added, "What the sender pays, by what matches", "ns per packet, added", folder / "hits.png")
