"""`python -m bench.lossless`: the highest rate at which a tool loses nothing, by bisection.

First at full speed, then at rates that the sender holds by bursts of 20 ms: higher where nothing was lost, lower
where something was. A rate is what was held, not what was asked for. Tools take turns; medians.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.markdown import markdown
from capture.benchmark.loads import LOADS, BenchLoad
from capture.benchmark.measure import TMPFS, Run, measure
from capture.benchmark.tools import machine, tools
from capture.benchmark.veth_pair import VethPair

STEPS = 6


def highest(attempt: Callable[[float | None], Run], full: float) -> float:
    """Packets per second; `attempt` sends at a rate, None for full speed, which is `full` without a tool."""
    run = attempt(None)
    if not run.lost:
        return run.rate
    best, low, high = 0.0, 0.0, full
    for _ in range(STEPS):
        asked = (low + high) / 2
        run = attempt(asked)
        if run.lost:
            high = asked
        else:
            low, best = asked, max(best, run.rate)
    return best


def rates(load: BenchLoad, names: list[str], repeat: int) -> dict[str, object]:
    """Packets per second that each tool took in each round, and the sender's alone."""
    with VethPair(count=load.pairs) as link, tempfile.TemporaryDirectory(dir=TMPFS) as folder:
        full = measure(link, load, None, folder).rate
        contestants = [tool for tool in tools(load.expression) if tool.name in names]
        found: dict[str, list[float]] = {tool.name: [] for tool in contestants}
        for _ in range(repeat):
            for tool in contestants:
                found[tool.name].append(highest(partial(measure, link, load, tool, folder), full))
    return {"load": load.name, "rates": found, "full": full, "machine": machine()}


def table(path: str) -> str:
    """A row per load, of its last run: medians, in million packets per second."""
    latest = list({line["load"]: line for line in map(json.loads, Path(path).read_text().splitlines())}.values())
    names = list(latest[0]["rates"])
    rows = [
        [
            line["load"],
            *(f"{statistics.median(line['rates'][name]) / 1e6:.2f}" for name in names),
            f"{line['full'] / 1e6:.2f}",
        ]
        for line in latest
    ]
    return markdown(["Mpps", *names, "the sender alone"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lossless", description=__doc__)
    parser.add_argument("--load", nargs="+", choices=LOADS, default=["64 B", "512 B", "1514 B"], metavar="LOAD")
    parser.add_argument("--tool", nargs="+", default=["bicap", "tcpdump", "dumpcap"], metavar="TOOL")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--results", default="bench/out/lossless.jsonl", help="append JSON lines to this file")
    asked = parser.parse_args()
    Path(asked.results).parent.mkdir(parents=True, exist_ok=True)
    for name in asked.load:
        line = rates(LOADS[name], asked.tool, asked.repeat)
        with open(asked.results, "a") as file:
            file.write(json.dumps(line) + "\n")
    print(table(asked.results))


if __name__ == "__main__":
    main()
