"""`python -m bench.recorder_cost`: what a recorder costs the sender and its process, beside a capture and tcpdump.

The same frame is sent at full speed. Nobody fires the recorder; with a rule it follows every packet. Contestants take
turns in each round; medians, and the sender's least.
"""

import argparse
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.lines import as_line
from capture.benchmark import frames
from capture.benchmark.load_source import send_one
from capture.benchmark.process import BICAP, Process
from capture.benchmark.tools import RING_MIB, TOOL_CPU, log_says, machine
from capture.benchmark.veth_pair import VethPair

SIZES = (64, 512, 1514)


@dataclass(frozen=True)
class Contestant:
    """A command; `{folder}` and `{ready}` are filled in."""

    name: str
    words: str


_RECORD = f"{BICAP} record -i vb --incidents {{folder}}/incidents --ready-file {{ready}} --memory 256MiB"
CONTESTANTS = (
    Contestant("nothing", ""),
    Contestant("record", _RECORD),
    Contestant("record, a rule", f"{_RECORD} --trigger rst>0"),
    Contestant(
        "capture", f"{BICAP} capture -q -i vb --buffer {RING_MIB}MiB --ready-file {{ready}} -w {{folder}}/file"
    ),
    Contestant("tcpdump", f"tcpdump -i vb -p -n -B {RING_MIB * 1024} -Z root -w {{folder}}/file"),
)


def measure_one(link: VethPair, contestant: Contestant, frame: bytes, count: int, folder: str) -> tuple[float, float]:
    """Return nanoseconds per packet of the sender, and of the process."""
    if not contestant.words:
        return send_one(link, frame, count) * 1e9 / count, 0.0
    ready, log = f"{folder}/ready", f"{folder}/tool"
    Path(ready).unlink(missing_ok=True)
    words = contestant.words.format(folder=folder, ready=ready).split()
    says = log_says("listening on")

    def is_ready(_: str) -> bool:
        return says(log) if words[0] == "tcpdump" else os.path.exists(ready)

    with Process(link.netns, words, f"{log}.log", is_ready, cpu=TOOL_CPU) as process:
        before = process.cpu_seconds()
        seconds = send_one(link, frame, count)
        used = process.cpu_seconds() - before
    for left in Path(folder).glob("file*"):
        left.unlink()
    return seconds * 1e9 / count, used * 1e9 / count


def table(size: int, contestants: Sequence[Contestant], count: int, repeat: int) -> str:
    """Measure and print one size; returns a JSON line."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    frame = frames.udp(size, "10.0.0.1", 1000)
    with VethPair() as link, tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        send_one(link, frame, count // 4)
        for _ in range(repeat):
            for one in contestants:
                found[one.name].append(measure_one(link, one, frame, count, folder))
    print(f"\n{size} B{'':20}{'sender ns':>10}{'least':>8}{'process ns':>12}")
    for name, values in found.items():
        sender, process = zip(*values, strict=True)
        print(f"{name:24}{statistics.median(sender):10.0f}{min(sender):8.0f}{statistics.median(process):12.0f}")
    return as_line(size=size, **found, **machine())


def main() -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(prog="python -m bench.recorder_cost", description=__doc__)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="contestants whose name contains this")
    parser.add_argument("--results", help="append JSON lines to this file")
    asked = parser.parse_args()
    chosen = [one for one in CONTESTANTS if asked.only in one.name]
    lines = [table(size, chosen, asked.packets * 64 // max(64, size // 4), asked.repeat) for size in SIZES]
    if asked.results:
        with open(asked.results, "a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
