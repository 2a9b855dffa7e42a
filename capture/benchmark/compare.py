"""A load and tools -> a line of results for each, from runs in which all took turns."""

import tempfile
from collections import defaultdict
from collections.abc import Sequence

from capture.benchmark.loads import BenchLoad
from capture.benchmark.measure import DISK, TMPFS, Run, measure, rounds
from capture.benchmark.progress import progress
from capture.benchmark.results import NOTHING, Line, line_of
from capture.benchmark.tools import Tool
from capture.benchmark.veth_pair import VethPair


def compare(load: BenchLoad, contestants: Sequence[Tool | None], repeat: int) -> list[Line]:
    """A line per contestant, of as many rounds as asked for; None is the sender without a tool."""
    runs: dict[str, list[Run]] = defaultdict(list)
    with VethPair(count=load.pairs) as link, tempfile.TemporaryDirectory(dir=DISK if load.disk else TMPFS) as folder:
        measure(link, load, None, folder)
        for number, tool in rounds(contestants, repeat):
            name = tool.name if tool else NOTHING
            progress(f"{load.name}: round {number + 1} of {repeat}, {name}")
            runs[name].append(measure(link, load, tool, folder))
    progress("")
    return [line_of(load, name, found) for name, found in runs.items()]
