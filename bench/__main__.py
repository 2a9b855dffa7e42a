"""`make bench`: bicap and other capture tools on the same link with the same loads, interleaved.

All tools take turns in each round, and the order rotates; medians with their spread, and what was asked of bicap as
ratios of the same run. bench/README.md says what happens and defines each column. This is a measurement, not a test.
"""

import argparse

from bench.lines import save
from bench.peers import all_tools
from bench.targets import rows
from capture.benchmark.compare import compare
from capture.benchmark.loads import LOADS, BenchLoad
from capture.benchmark.result_table import as_text
from capture.benchmark.results import Line, Results
from capture.benchmark.tools import Tool

EVERYWHERE = ("bicap", "tcpdump", "dumpcap")
"""The tools that run with every load; the others run with the first one."""


def contestants(load: BenchLoad, names: list[str] | None, all_of_them: bool) -> list[Tool | None]:
    """No tool, then those that are asked for or belong to the load."""
    wanted = names or ([tool.name for tool in all_tools()] if all_of_them else EVERYWHERE)
    able = [tool for tool in all_tools(load.expression) if tool.takes_several or load.links == 1]
    return [None, *(tool for tool in able if tool.name in wanted)]


_LOADS = f"of {', '.join(LOADS)}".replace("%", "%%")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--load", nargs="+", choices=LOADS, metavar="LOAD", help=_LOADS)
    parser.add_argument("--tool", nargs="+", choices=[tool.name for tool in all_tools()], metavar="TOOL")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--results", default="bench/out/results.jsonl", help="append JSON lines to this file")
    asked = parser.parse_args()
    chosen = [LOADS[name] for name in asked.load or LOADS]
    lines: list[Line] = []
    for load in chosen:
        found = compare(load, contestants(load, asked.tool, all_of_them=load is chosen[0]), asked.repeat)
        print(as_text(Results(found)), end="\n\n", flush=True)
        save(found, asked.results)
        lines += found
    for name, ratio, bound, verdict in rows(Results(lines)):
        print(f"{name:62}{ratio:>6}  at most {bound}: {verdict}")


if __name__ == "__main__":
    main()
