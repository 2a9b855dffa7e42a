"""`python -m bench.lossless`: the highest rate at which a tool loses nothing, by bisection.

First at full speed, then at rates that the sender holds by bursts of 20 ms: higher where nothing was lost, lower
where something was. A rate is what was held, not what was asked for. Tools take turns; medians.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial

from bench.link import Link
from bench.loads import LOADS, Load
from bench.measure import TMPFS, Run, measure
from bench.table import markdown
from bench.tools import tools

STEPS = 6


def highest(attempt: Callable[[float | None], Run], full: float) -> float:
    """Packets per second; `attempt` sends at a rate, None for full speed, which is `full` without a tool."""
    run = attempt(None)
    if not run.lost:
        return 1e9 / run.sender_ns
    best, low, high = 0.0, 0.0, full
    for _ in range(STEPS):
        asked = (low + high) / 2
        run = attempt(asked)
        if run.lost:
            high = asked
        else:
            low, best = asked, max(best, 1e9 / run.sender_ns)
    return best


def rates(load: Load, names: list[str], repeat: int) -> list[str]:
    """Million packets per second: each tool's, then the sender's alone."""
    with Link() as link, tempfile.TemporaryDirectory(dir=TMPFS) as folder:
        full = 1e9 / measure(link, load, None, folder).sender_ns
        contestants = [tool for tool in tools(load.expression) if tool.name in names]
        found: dict[str, list[float]] = {tool.name: [] for tool in contestants}
        for _ in range(repeat):
            for tool in contestants:
                found[tool.name].append(highest(partial(measure, link, load, tool, folder), full))
    return [*(f"{statistics.median(found[name]) / 1e6:.2f}" for name in names), f"{full / 1e6:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lossless", description=__doc__)
    parser.add_argument("--load", nargs="+", choices=LOADS, default=["64 B", "512 B", "1514 B"], metavar="LOAD")
    parser.add_argument("--tool", nargs="+", default=["bicap", "tcpdump", "dumpcap"], metavar="TOOL")
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    found = [(name, *rates(LOADS[name], asked.tool, asked.repeat)) for name in asked.load]
    print(markdown(["lossless, Mpps", *asked.tool, "the sender alone"], found))


if __name__ == "__main__":
    main()
