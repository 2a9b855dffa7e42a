"""`python -m bench.application`: what an application notices of a capture: HTTP latency, and TCP throughput.

A client and a server in two network namespaces that a veth joins, one CPU each; the tool listens at the server's
interface and is pinned to neither, as on a node. `http`: one connection, one request after another. `tcp`: one stream
as fast as it goes, in segments that the kernel has not cut yet (GSO). Tools take turns; medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.markdown import markdown
from capture.benchmark.measure import SNAPLEN, TMPFS, rounds
from capture.benchmark.results import NOTHING
from capture.benchmark.tools import Tool, machine, tools
from testbed.two_pods import PlainNode, PlainPod, two_pods

RESULTS = "bench/out/application.jsonl"
TOOLS = ("bicap", "tcpdump", "dumpcap")
TALKERS = str(Path(__file__).with_name("talkers.py"))
COLUMNS = ("tool", "HTTP p50 µs", "HTTP p99 µs", "TCP Gbit/s", "lost of TCP", "CPU ns per KiB of TCP")


@dataclass(frozen=True)
class ApplicationRun:
    """What the application saw; what the tool lost of the packets, and its time per KiB of the file."""

    p50_us: float
    p99_us: float
    gbit: float
    lost: float
    cpu_ns: float


def _talk(node: PlainNode, serve: str, ask: str, seconds: float) -> str:
    """One conversation, the server on CPU 0 and the client on CPU 1; what the client printed."""
    server = subprocess.Popen(_words(node.server, 0, serve), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        words = _words(node.client, 1, ask, node.server.ip4, str(seconds))
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    finally:
        server.kill()
        server.wait()


def _words(pod: PlainPod, cpu: int, *what: str) -> list[str]:
    return pod.exec("taskset", "-c", str(cpu), sys.executable, TALKERS, *what)


def _passed(node: PlainNode) -> int:
    """Packets, as the kernel hands them on, that passed the server's veth."""
    folder = f"/sys/class/net/{node.server.veth}/statistics"
    found = subprocess.run(
        node.exec("cat", f"{folder}/rx_packets", f"{folder}/tx_packets"), capture_output=True, text=True, check=True
    )
    return sum(int(line) for line in found.stdout.split())


def measure(node: PlainNode, tool: Tool | None, folder: str, seconds: float) -> ApplicationRun:
    """Both conversations, with the tool or without."""
    file = f"{folder}/capture"
    results = []
    said = []
    for serve, ask in (("http-serve", "http-ask"), ("tcp-take", "tcp-send")):
        before = 0
        running = None
        if tool:
            running = tool.start(node.netns, [node.server.veth], file, SNAPLEN, cpu=None)
            before = _passed(node)
        said.append(json.loads(_talk(node, serve, ask, seconds)))
        if running:
            passed = _passed(node) - before
            result = running.stop()
            results.append((1 - result.written / passed, result.cpu_seconds * 1e9 / (result.file_bytes / 1024)))
            for left in Path(folder).glob("capture*"):
                left.unlink()
    took, sent = said
    percentiles = statistics.quantiles(took, n=100)
    lost, cpu_ns = results[-1] if results else (0.0, 0.0)
    return ApplicationRun(percentiles[49], percentiles[98], sent * 8 / seconds / 1e9, lost, cpu_ns)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.application", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each conversation")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--results", default=RESULTS, help="append JSON lines to this file")
    asked = parser.parse_args()
    found = [None, *(tool for tool in tools() if tool.name in TOOLS)]
    runs: dict[str, list[ApplicationRun]] = defaultdict(list)
    with two_pods(f"bicap-bench-{uuid.uuid4().hex[:6]}") as node, tempfile.TemporaryDirectory(dir=TMPFS) as folder:
        for _, tool in rounds(found, asked.repeat):
            runs[tool.name if tool else NOTHING].append(measure(node, tool, folder, asked.seconds))
    _save(runs, asked.results)
    print(table(asked.results))


def latest(path: str) -> dict[str, dict[str, Any]]:
    """What the last run saved, by tool; nothing where there was none."""
    if not os.path.exists(path):
        return {}
    return {line["tool"]: line for line in map(json.loads, Path(path).read_text().splitlines())}


def p99_us(path: str) -> dict[str, float]:
    """HTTP's latency in the last run, by tool."""
    return {tool: statistics.median(line["p99_us"]) for tool, line in latest(path).items()}


def table(path: str) -> str:
    """A row per tool of the last run: medians, the worst for what was lost."""
    rows = []
    for tool, line in sorted(latest(path).items(), key=lambda item: item[0] != NOTHING):
        row = [tool, *(f"{statistics.median(line[name]):,.1f}" for name in ("p50_us", "p99_us", "gbit"))]
        paid = [f"{max(line['lost']):.1%}", f"{statistics.median(line['cpu_ns']):,.0f}"]
        rows.append([*row, *(paid if tool != NOTHING else ["", ""])])
    return markdown(COLUMNS, rows)


def _save(runs: dict[str, list[ApplicationRun]], path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        for name, found in runs.items():
            facts = {key: [getattr(run, key) for run in found] for key in ApplicationRun.__dataclass_fields__}
            file.write(json.dumps({"tool": name, **facts, "machine": machine()}) + "\n")


if __name__ == "__main__":
    main()
