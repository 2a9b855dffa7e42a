"""`python -m bench.recorder_cost`: what a recorder costs the sender and its process, beside a capture and tcpdump.

All contestants run at once, each on a veth pair of its own, and get short rounds by turns, so that what else the
machine does meets all of them alike. What is measured is the CPU time of the sender's thread, in which the kernel
also delivers the packet and runs the programs; of the rounds, the tenth percentile and the median. Nobody fires the
recorder; with a rule it follows every packet.
"""

import argparse
import contextlib
import os
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.lines import as_line
from capture.benchmark import frames
from capture.benchmark.process import BICAP, Process
from capture.benchmark.tools import RING_MIB, TOOL_CPU, log_says, machine
from capture.benchmark.veth_pair import VethEnds, VethPair

SIZES = (64, 512, 1514)
SENDER_CPU = 0
ROUND_PACKETS = 1000


@dataclass(frozen=True)
class Contestant:
    """A command; `{folder}`, `{ready}` and `{link}` are filled in."""

    name: str
    words: str


_RECORD = f"{BICAP} record -i {{link}} --incidents {{folder}}/incidents --ready-file {{ready}} --memory 256MiB"
_CAPTURE = f"{BICAP} capture -q -i {{link}} --buffer {RING_MIB}MiB --ready-file {{ready}} -C 64MiB -W 2"
CONTESTANTS = (
    Contestant("nothing", ""),
    Contestant("record", _RECORD),
    Contestant("record, a rule", f"{_RECORD} --trigger rst>0"),
    Contestant("capture", f"{_CAPTURE} -w {{folder}}/file"),
    Contestant("capture --diagnose", f"{_CAPTURE} --diagnose -w {{folder}}/file"),
    Contestant("tcpdump", f"tcpdump -i {{link}} -p -n -B {RING_MIB * 1024} -Z root -C 64 -W 2 -w {{folder}}/file"),
)


class Lane:
    """A contestant, its link and its rounds."""

    def __init__(
        self, one: Contestant, link: VethPair, ends: VethEnds, folder: Path, stack: contextlib.ExitStack
    ) -> None:
        self.name, self.sender_ns, self.process_ns = one.name, list[float](), 0.0
        folder.mkdir()
        self._process: Process | None = None
        if one.words:
            ready, log = folder / "ready", folder / "tool.log"
            words = one.words.format(folder=folder, ready=ready, link=ends.name).split()
            says = log_says("listening on")

            def is_ready(_: str) -> bool:
                return says(str(folder / "tool")) if words[0] == "tcpdump" else ready.exists()

            self._process = stack.enter_context(Process(link.netns, words, str(log), is_ready, cpu=TOOL_CPU))
        self._out = stack.enter_context(link.namespace.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)))
        self._out.bind((ends.name.replace("b", "a"), 0))

    def send(self, frame: bytes, measured: bool) -> None:
        """Send one round."""
        send = self._out.send
        before = time.thread_time_ns()
        for _ in range(ROUND_PACKETS):
            send(frame)
        took = time.thread_time_ns() - before
        if measured:
            self.sender_ns.append(took / ROUND_PACKETS)

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process so far."""
        return self._process.cpu_seconds() if self._process else 0.0


def table(size: int, contestants: list[Contestant], rounds: int) -> str:
    """Measure and print one size; returns a JSON line."""
    frame = bytes(frames.udp(size, "10.0.0.1", 1000))
    with (
        contextlib.ExitStack() as stack,
        VethPair(xdp=False, count=len(contestants)) as link,
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        contextlib.ExitStack() as processes,
    ):
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        found = [
            Lane(one, link, ends, Path(folder) / str(number), processes)
            for number, (one, ends) in enumerate(zip(contestants, link.pairs, strict=True))
        ]
        os.sched_setaffinity(0, {SENDER_CPU})
        for one in found:
            one.send(frame, measured=False)
        used = [one.cpu_seconds() for one in found]
        for _ in range(rounds):
            for one in found:
                one.send(frame, measured=True)
        time.sleep(0.5)  # a capture writes what it has
        for one, before in zip(found, used, strict=True):
            one.process_ns = (one.cpu_seconds() - before) * 1e9 / (rounds * ROUND_PACKETS)
    nothing = np.percentile(found[0].sender_ns, 10)
    print(f"\n{size} B{'':20}{'sender ns':>10}{'median':>8}{'added ns':>10}{'process ns':>12}")
    for one in found:
        tenth, median = np.percentile(one.sender_ns, (10, 50))
        print(f"{one.name:24}{tenth:10.0f}{median:8.0f}{tenth - nothing:10.0f}{one.process_ns:12.0f}", flush=True)
    return as_line(size=size, **{one.name: (one.sender_ns, one.process_ns) for one in found}, **machine())


def main() -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(prog="python -m bench.recorder_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--only", default="", help="contestants whose name contains this, beside nothing")
    parser.add_argument("--results", help="append JSON lines to this file")
    asked = parser.parse_args()
    chosen = [one for one in CONTESTANTS if not one.words or asked.only in one.name]
    lines = [table(size, chosen, asked.rounds) for size in SIZES]
    if asked.results:
        with open(asked.results, "a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
