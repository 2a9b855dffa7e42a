"""`python -m bench.many_captures`: many captures on a node, each in a process forked from one that has all loaded.

Side by side: captures of as many interfaces, at a rate each, beside as many tcpdumps. CPU is that of all processes
while packets flow; memory is what each has of its own, and what all have together, with the process that they are
forked from (Private_* and Pss of /proc/PID/smaps_rollup; rings are not in it); start is the time from the request
until packets are caught.

On one interface: what one capture, and several, add to each packet of a sender, by bursts through two equal links in
turn; where all of them keep every packet, where none keeps any, and for as many empty programs. A program that all of
them shared would save no more than what captures add that keep nothing.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.lines import as_line
from bench.markdown import markdown
from bench.sampling import empty_program
from capture.benchmark import frames
from capture.benchmark.load_source import LoadSource
from capture.benchmark.loads import BenchLoad
from capture.benchmark.measure import TMPFS, rounds, warm
from capture.benchmark.process import Process
from capture.benchmark.progress import progress
from capture.benchmark.senders import BATCH
from capture.benchmark.tools import machine
from capture.benchmark.twins import Twins
from capture.benchmark.veth_pair import VethPair
from capture.kernel.cost import ENOUGH_RUNS
from capture.nursery.nursery import CaptureChild, Nursery
from capture.request.document import Document, LimitsPart, StoragePart, TargetPart

BUFFER_MIB = 8
SIZES = (64, 512)
COUNTS = (1, 2, 4, 8)
EVERYTHING, NOTHING, EMPTY = "captures of every packet", "captures of no packet", "empty programs"
EXPRESSIONS = {EVERYTHING: None, NOTHING: "src net 11.0.0.0/8"}
"""What captures are asked to keep."""
_BURST_BYTES = BUFFER_MIB * (1 << 19) // (os.cpu_count() or 1)
"""Bytes in rings that one burst takes: half of a CPU's ring, so that nothing is lost, which would cost nothing."""
_EVERY_SECONDS = 0.1
_PATIENCE = 60.0
_BICAP, _TCPDUMP = "bicap, forked", "tcpdump"
_MEDIANS = ("cpu_percent", "cpu_ns", "private_mib", "all_mib", "start_ms")


@dataclass(frozen=True)
class SideBySide:
    """One run of captures of several interfaces. `private_mib` is the mean of the processes, `all_mib` their sum."""

    tool: str
    cpu_percent: float
    cpu_ns: float
    private_mib: float
    all_mib: float
    start_ms: float
    lost: int


@dataclass(frozen=True)
class Added:
    """Nanoseconds that so many of a kind added to a packet, per run."""

    size: int
    kind: str
    count: int
    added_ns: Sequence[float]
    lost: int
    """Packets, in all runs. They cost the sender less."""


def document(netns: str, interface: str, path: str, expression: str | None = None) -> Document:
    """A capture of an interface into a file."""
    return Document(
        target=TargetPart(interfaces=[interface], netns=netns),
        expression=expression,
        limits=LimitsPart(buffer=f"{BUFFER_MIB}Mi"),
        storage=StoragePart(path=path),
    )


def memory_mib(pid: int, kind: str) -> float:
    """Memory of a process: "Private" is shared with no other, "Pss:" has its share of what is."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of the process's threads so far."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def end(child: CaptureChild) -> int:
    """Stop a capture that must have gone well; packets that it lost."""
    child.stop()
    outcome = child.wait(_PATIENCE)
    child.close()
    if outcome is None or outcome.code or outcome.summary is None:
        raise RuntimeError(f"a capture ended with {outcome}")
    return int(outcome.summary["account"]["lost"])


def begin(nursery: Nursery, asked: Document) -> tuple[CaptureChild, float]:
    """Start a capture; seconds until packets are caught."""
    began = time.monotonic()
    child = nursery.start(asked)
    if not child.wait_ready(_PATIENCE):
        raise RuntimeError(f"a capture did not start: {child.wait(_PATIENCE)}")
    return child, time.monotonic() - began


@contextlib.contextmanager
def tcpdumps(link: VethPair, names: Sequence[str], folder: str) -> Iterator[list[int]]:
    """A tcpdump for each interface; their pids."""
    with contextlib.ExitStack() as stack:
        pids = []
        for name in names:
            file = f"{folder}/{name}"
            words = f"tcpdump -i {name} -p -n -B {BUFFER_MIB * 1024} -Z root -w {file}".split()
            process = Process(link.netns, words, f"{file}.log", lambda said: "listening on" in said)
            pids.append(stack.enter_context(process).pid)
        yield pids


def side_by_side(load: BenchLoad, tool: str, link: VethPair, seconds: float) -> SideBySide:
    """One run of a tool, of about so many seconds."""
    assert load.rate
    count, first = round(load.rate * seconds), ENOUGH_RUNS * load.links
    names = [pair.name for pair in link.pairs]
    starts, server = [0.0], []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=TMPFS))
        warm(folder, (count + first) * (load.size + 64))
        source = stack.enter_context(LoadSource(link, load))
        children: list[CaptureChild] = []
        if tool == _BICAP:
            nursery = stack.enter_context(Nursery())
            started = [begin(nursery, document(link.netns, name, f"{folder}/{name}")) for name in names]
            children, starts = [child for child, _ in started], [took for _, took in started]
            pids, server = [child.pid for child in children], [nursery.pid]
        else:
            pids = stack.enter_context(tcpdumps(link, names, folder))
        source.pace(first, load.rate)  # while the kernel times the programs
        before, began = sum(map(cpu_seconds, pids)), time.monotonic()
        sent = source.pace(count, load.rate).sent
        time.sleep(0.5)
        used, took = sum(map(cpu_seconds, pids)) - before, time.monotonic() - began
        own = statistics.mean(memory_mib(pid, "Private") for pid in pids)
        together = sum(memory_mib(pid, "Pss:") for pid in (*server, *pids))
        lost = sum(map(end, children))
    return SideBySide(
        tool, 100 * used / took, used * 1e9 / sent, own, together, 1e3 * statistics.median(starts), lost
    )


def _end_and_count(child: CaptureChild, lost: list[int]) -> None:
    lost.append(end(child))


def added(size: int, counts: Sequence[int], seconds: float, repeat: int) -> list[Added]:
    """What captures or empty programs on one interface add to a packet, in nanoseconds: a line per kind and count."""
    cases = [(kind, count) for kind in (EVERYTHING, NOTHING, EMPTY) for count in counts]
    found: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    lost: dict[tuple[str, int], list[int]] = {case: [] for case in cases}
    burst = _BURST_BYTES // (size + 64) // BATCH * BATCH
    file_bytes = round(2 * seconds / _EVERY_SECONDS) * burst * (size + 64)
    with Nursery() as nursery, Twins(frames.udp(size), 1, forwarding=False) as twins:
        for number, (kind, count) in rounds(cases, repeat):
            progress(f"{size} B: round {number + 1} of {repeat}, {count} {kind}")
            with attached(nursery, twins.watched, kind, count, file_bytes, lost[kind, count]):
                twins.send(burst, _EVERY_SECONDS, 2 * _EVERY_SECONDS)  # while the kernel times the programs
                bursts = twins.send(burst, _EVERY_SECONDS, seconds)
            found[kind, count].append(statistics.median(bursts.added_ns))
    progress("")
    return [Added(size, *case, ns, sum(lost[case])) for case, ns in found.items()]


@contextlib.contextmanager
def attached(
    nursery: Nursery, link: VethPair, kind: str, count: int, file_bytes: int, lost: list[int]
) -> Iterator[None]:
    """So many captures or programs at vb, while the block lasts; what each capture lost is added to the list."""
    with contextlib.ExitStack() as stack:
        if kind == EMPTY:
            for _ in range(count):
                stack.enter_context(empty_program(link))
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=TMPFS))
            warm(folder, count * file_bytes if kind == EVERYTHING else 0)
            for one in range(count):
                asked = document(link.netns, "vb", f"{folder}/{one}", EXPRESSIONS[kind])
                stack.callback(_end_and_count, begin(nursery, asked)[0], lost)
        yield


def side_table(runs: Sequence[SideBySide]) -> str:
    """A row per tool, medians."""
    columns = ["", "CPU %", "CPU ns per packet", "private MiB each", "MiB in all", "start ms", "lost"]
    rows = []
    for tool in dict.fromkeys(run.tool for run in runs):
        of_tool = [run for run in runs if run.tool == tool]

        medians = [statistics.median(getattr(run, name) for run in of_tool) for name in _MEDIANS]
        ours = [f"{medians[-1]:,.0f}", f"{max(run.lost for run in of_tool):,}"] if tool == _BICAP else ["", ""]
        rows.append([tool, *(f"{value:,.1f}" for value in medians[:-1]), *ours])
    return markdown(columns, rows)


def added_table(lines: Sequence[Added]) -> str:
    """A row per size and kind: what all add together, and in brackets what each adds; * where packets were lost."""
    rows: dict[str, list[str]] = {}
    for line in lines:
        total = statistics.median(line.added_ns)
        row = rows.setdefault(f"{line.size} B, {line.kind}", [])
        row.append(f"{total:,.0f} ({total / line.count:,.0f}){'*' if line.lost else ''}")
    counts = dict.fromkeys(line.count for line in lines)
    return markdown(["added ns", *map(str, counts)], [[name, *row] for name, row in rows.items()])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.many_captures", description=__doc__)
    parser.add_argument("--captures", type=int, default=16, help="side by side; 0: not")
    parser.add_argument("--rate", type=float, default=20e3, help="packets per second at each")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run side by side")
    parser.add_argument("--burst-seconds", type=float, default=1.0, help="of each run on one interface")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--results", default="bench/out/many_captures.jsonl", help="append JSON lines to this file")
    asked = parser.parse_args()
    number = asked.captures
    runs: list[SideBySide] = []
    if number:
        load = BenchLoad(name="side by side", size=512, senders=number, links=number, rate=number * asked.rate)
        with VethPair(count=number) as link:
            for _, tool in rounds((_BICAP, _TCPDUMP), asked.repeat):
                progress(f"{number} captures: {tool}")
                runs.append(side_by_side(load, tool, link, asked.seconds))
        progress("")
        print(f"{number} captures of {load.size} B at {asked.rate:,.0f} packets/s each\n\n{side_table(runs)}\n")
    lines = [line for size in SIZES for line in added(size, COUNTS, asked.burst_seconds, asked.repeat)]
    print(added_table(lines))
    os.makedirs(os.path.dirname(asked.results) or ".", exist_ok=True)
    with open(asked.results, "a") as file:
        file.writelines(as_line(**asdict(run), machine=machine()) + "\n" for run in runs)
        file.writelines(as_line(**asdict(line), machine=machine()) + "\n" for line in lines)


if __name__ == "__main__":
    main()
