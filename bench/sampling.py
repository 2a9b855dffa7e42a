"""`python -m bench.sampling`: what sampling costs the sender and the process, beside a capture in full.

Frames are sent in bursts that fit into the ring, with pauses in which it is read: nothing is lost, so that what is
captured is paid in full. Cases take turns, the order rotates; medians. bench/README.md defines the columns.
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.lines import as_line
from capture.benchmark import frames
from capture.benchmark.measure import warm
from capture.benchmark.process import BICAP, Process
from capture.benchmark.senders import BATCH, FlowSender, load_verdict
from capture.benchmark.tools import RING_MIB, SENDER_CPU, TOOL_CPU, machine
from capture.benchmark.veth_pair import VethPair
from capture.kernel import syscall

PAUSE = 0.1
NOTHING, EMPTY, FULL = "nothing", "empty program", "captured in full"
_NEXT = -1
"""TCX_NEXT: what our programs answer."""


@dataclass(frozen=True)
class SamplingCase:
    """What is attached, and how many conversations are sent; without options no tool runs."""

    name: str
    options: str | None
    flows: int = 1


@dataclass(frozen=True)
class SamplingRun:
    """One run of a case: the sender's time and the process's, per packet sent; packets of the whole run."""

    sender_ns: float
    cpu_ns: float | None = None
    kernel_ns: float | None = None
    written: int = 0
    lost: int = 0


CASES = [
    *(SamplingCase(NOTHING, None, flows) for flows in (1, 1_000, 1_000_000)),
    SamplingCase(EMPTY, None),
    SamplingCase("unmatched, 1 rule", "--source 10.0.0.0/8 --destination :2001 --protocol udp"),
    SamplingCase(FULL, ""),
    SamplingCase("headers-only", "--headers-only"),
    SamplingCase("flow:0.001%", "--sample flow:0.001%"),
    SamplingCase("packet:1/100000", "--sample packet:1/100000"),
    *(SamplingCase("first:1", "--sample first:1", flows) for flows in (1, 1_000, 1_000_000)),
    SamplingCase("rate:100pps", "--sample rate:100pps"),
    SamplingCase("rate:1mbit", "--sample rate:1mbit"),
]


def burst_of(size: int) -> int:
    """Packets that fit into three quarters of one CPU's ring; whole batches of the sender's."""
    per_cpu = (RING_MIB << 20) // len(os.sched_getaffinity(0))
    packets_in_all = per_cpu * 3 // 4 // (size + 64)
    return packets_in_all - packets_in_all % BATCH


def send(link: VethPair, sender: FlowSender, count: int, size: int) -> float:
    """Send at least `count` packets in bursts on the sender's CPU; nanoseconds per packet, pauses left out."""
    burst = burst_of(size)
    bursts = -(-count // burst)

    def inside() -> float:
        os.sched_setaffinity(0, {SENDER_CPU})
        seconds = 0.0
        for _ in range(bursts):
            seconds += sender.send(burst)
            time.sleep(PAUSE)
        return seconds

    return link.namespace.run(inside) * 1e9 / (bursts * burst)


@contextlib.contextmanager
def empty_program(link: VethPair) -> Iterator[None]:
    """A tcx program that only says "next" on what vb receives: no capture there can cost less."""
    program = load_verdict(syscall.SCHED_CLS, _NEXT)
    attached = link.namespace.run(lambda: syscall.tcx_attach(program, link.vb, syscall.BPF_TCX_INGRESS))
    try:
        yield
    finally:
        os.close(attached)
        os.close(program)


def measure(link: VethPair, case: SamplingCase, count: int, size: int, folder: str) -> SamplingRun:
    """One run; each conversation is seen before the clock starts, so that `first` is past its first packets."""
    frame = frames.udp(size)
    sender = FlowSender(link.va, frame, case.flows)
    try:
        if case.options is None:
            with empty_program(link) if case.name == EMPTY else contextlib.nullcontext():
                send(link, sender, case.flows, size)
                return SamplingRun(send(link, sender, count, size))
        return _captured(link, sender, case, count, size, f"{folder}/capture")
    finally:
        sender.close()


def _captured(
    link: VethPair, sender: FlowSender, case: SamplingCase, count: int, size: int, file: str
) -> SamplingRun:
    words = f"{BICAP} capture -i vb -q --buffer {RING_MIB}MiB -w {file} --ready-file {file}.ready {case.options}"
    ready = Path(f"{file}.ready")
    ready.unlink(missing_ok=True)
    with Process(link.netns, words.split(), f"{file}.log", lambda log: ready.exists(), cpu=TOOL_CPU) as process:
        send(link, sender, case.flows, size)
        before = process.cpu_seconds()
        ns = send(link, sender, count, size)
        cpu = process.cpu_seconds() - before
    summary = json.loads(Path(f"{file}.json").read_text())
    account = summary["account"]
    kernel_ns = summary["cost"]["kernel_ns_per_packet"] if case.flows == 1 else None
    return SamplingRun(ns, cpu * 1e9 / count, kernel_ns, account["written"], account["lost"])


def added(runs: dict[SamplingCase, list[SamplingRun]], case: SamplingCase) -> float:
    """What a case costs the sender, beside a sender of as many conversations with nothing attached."""
    alone = next(other for other in runs if other.name == NOTHING and other.flows == case.flows)
    medians = [statistics.median(run.sender_ns for run in runs[which]) for which in (case, alone)]
    return medians[0] - medians[1]


def table(size: int, runs: dict[SamplingCase, list[SamplingRun]]) -> Iterator[str]:
    """Lines for a person."""
    yield f"\n{size} bytes, bursts of {burst_of(size):,}"
    yield (
        f"{'':20}{'flows':>10}{'sender ns':>11}{'kernel ns':>11}{'added ns':>10}{'ratio':>7}"
        f"{'CPU ns':>8}{'written':>11}{'lost':>9}"
    )
    full = next((added(runs, case) for case in runs if case.name == FULL), None)
    for case, several in runs.items():
        row = f"{case.name:20}{case.flows:10,}{statistics.median(run.sender_ns for run in several):11.0f}"
        kernel = [run.kernel_ns for run in several if run.kernel_ns is not None]
        row += f"{statistics.median(kernel):11.0f}" if kernel else f"{'':11}"
        if case.name != NOTHING:
            ns = added(runs, case)
            row += f"{ns:10.1f}" + (f"{ns / full:7.2f}" if full else f"{'':7}")
        if case.options is not None:
            cpu = statistics.median(run.cpu_ns or 0 for run in several)
            row += f"{cpu:8.0f}{max(run.written for run in several):11,}{max(run.lost for run in several):9,}"
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sampling", description=__doc__)
    parser.add_argument("--packets", type=int, default=500_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 512, 1500], help="frame lengths in bytes")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[""], help="cases whose name contains one of these")
    parser.add_argument("--results", help="append JSON lines to this file")
    asked = parser.parse_args()
    cases = [case for case in CASES if case.name == NOTHING or any(word in case.name for word in asked.only)]
    print(f"{asked.packets:,} packets, {asked.repeat} runs each, interleaved; medians; {RING_MIB} MiB of ring")
    lines = []
    with VethPair() as link, tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for size in asked.sizes:
            runs: dict[SamplingCase, list[SamplingRun]] = defaultdict(list)
            measure(link, CASES[0], asked.packets, size, folder)
            for repeat in range(asked.repeat):
                warm(folder, 2 * asked.packets * (size + 64))
                first = repeat * len(cases) // asked.repeat
                for case in cases[first:] + cases[:first]:
                    runs[case].append(measure(link, case, asked.packets, size, folder))
            in_order = {case: runs[case] for case in cases}
            print("\n".join(table(size, in_order)), flush=True)
            for case, several in in_order.items():
                facts = {"case": case.name, "flows": case.flows, "size": size, "packets": asked.packets}
                lines.append(as_line(**facts, runs=[asdict(run) for run in several], **machine()))
    if asked.results:
        with open(asked.results, "a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
