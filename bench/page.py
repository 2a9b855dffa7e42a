"""`python -m bench.page`: the lines of runs in docs/performance -> the tables and pictures of docs/performance.md.

The page marks where each table stands: what is between `<!-- NAME -->` and `<!-- end -->` is written here, the rest
by hand. `--from FOLDER` takes the results of a new run first.
"""

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path

from bench import application, lossless, model
from bench.lines import read
from bench.markdown import as_markdown, markdown
from bench.targets import rows as verdicts
from capture.benchmark.result_table import text
from capture.benchmark.results import REFERENCE, Results
from capture.estimate.costs import shipped

PAGE, FOLDER = Path("docs/performance.md"), Path("docs/performance")
RESULTS, LOSSLESS, APPLICATION, MODEL = "results.jsonl", "lossless.jsonl", "application.jsonl", "model.json"
_END = "<!-- end -->"
TOOLS = ("bicap", "tcpdump", "dumpcap")


def loads(results: Results) -> str:
    """A row per load: what the process and the sender pay, and what is lost, for the tools that run everywhere."""
    columns = ["load", *(f"{what}, {tool}" for what in ("CPU ns", "added ns", "lost %") for tool in TOOLS)]
    return markdown(columns, [[load, *_cells(results, load)] for load in results.loads])


def node(results: Results) -> str:
    """A row per load: both parts of what the node pays, and their sum, for bicap and tcpdump; and the ratio."""
    tools, parts = ("bicap", REFERENCE), ("added ns", "CPU ns", "node ns")
    rows = [
        [
            load,
            *(
                text(value(load, tool))
                for tool in tools
                for value in (results.added_ns, results.cpu_ns, results.node_ns)
            ),
            text(results.node_ratio(load, "bicap"), 2),
        ]
        for load in results.loads
    ]
    return markdown(["load", *(f"{part}, {tool}" for tool in tools for part in parts), "ratio"], rows)


def _cells(results: Results, load: str) -> list[str]:
    def cell(value: Callable[[str], float | None], digits: int) -> list[str]:
        return [text(value(tool), digits) for tool in TOOLS]

    def lost(tool: str) -> float | None:
        line = results.line(load, tool)
        return 100 * max(line.lost_shares) if line and line.lost_shares else None

    return [
        *cell(lambda tool: results.cpu_ns(load, tool), 0),
        *cell(lambda tool: results.added_ns(load, tool), 0),
        *cell(lost, 1),
    ]


def machine(results: Results) -> str:
    """What the figures depend on."""
    line = results.tools(results.loads[0])[0]
    facts = line.machine
    return (
        f"{facts['cpu']}, Linux {facts['kernel']}, commit {facts['commit']}; {len(line.sender_ns)} interleaved runs."
    )


def tables(folder: Path) -> dict[str, str]:
    """Everything that the page gets from the lines, by name."""
    results = Results(read(str(folder / RESULTS)), application.p99_us(str(folder / APPLICATION)))
    return {
        "machine": machine(results),
        "peers": as_markdown(results, results.loads[0]),
        "node": node(results),
        "loads": loads(results),
        "targets": markdown(["target", "measured", "at most", ""], verdicts(results)),
        "lossless": lossless.table(str(folder / LOSSLESS)),
        "costs": model.coefficients(shipped()),
        "model": model.held_out(folder / MODEL, shipped()),
        "application": application.table(str(folder / APPLICATION)),
    }


def filled(page: str, found: dict[str, str]) -> str:
    """The page with its tables; every one has its place."""
    for name, table in found.items():
        before, mark, rest = page.partition(f"<!-- {name} -->\n")
        assert mark, f"{PAGE} has no place for {name}"
        page = f"{before}{mark}\n{table}\n\n{_END}{rest.partition(_END)[2]}"
    return page


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("--from", dest="folder", type=Path, metavar="FOLDER", help="bench/out, after a run")
    asked = parser.parse_args()
    if asked.folder:
        for name in (RESULTS, LOSSLESS, APPLICATION, MODEL):
            shutil.copy(asked.folder / name, FOLDER / name)
    PAGE.write_text(filled(PAGE.read_text(), tables(FOLDER)))
    from bench.plots import draw  # matplotlib is needed for the pictures alone

    draw(Results(read(str(FOLDER / RESULTS))), FOLDER)


if __name__ == "__main__":
    main()
