"""`python -m bench.matching`: what matching costs the sender and the kernel, by kind and size of what is asked.

The frame is the same for all; whether it matches is a matter of the filter. tcpdump runs with the same expression
where it can take one. Cases take turns in each round; medians. bench/README.md defines the columns.
"""

import argparse
import json
import statistics
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from bench.lines import as_line
from capture.benchmark import frames
from capture.benchmark.load_source import send_one
from capture.benchmark.tools import RING_MIB, Tool, machine, tools
from capture.benchmark.veth_pair import VethPair

FRAME = frames.udp(64, "10.0.0.1", 1000)
CONVERSATIONS = 65_536


@dataclass(frozen=True)
class FilterCase:
    """A filter as bicap's options, and for tcpdump as an expression ("" where there is none)."""

    name: str
    options: str
    expression: str = ""


def _rules(count: int, last: str) -> str:
    """`count` general rules; the last decides."""
    others = [f"--source 10.9.{n}.0/24 --destination :{3000 + n} --protocol udp" for n in range(count - 1)]
    return " ".join([*others, f"--source 10.0.0.0/24 --destination {last} --protocol udp"])


def _rules_expression(count: int, last: int) -> str:
    others = [f"(udp and src net 10.9.{n}.0/24 and dst port {3000 + n})" for n in range(count - 1)]
    return " or ".join([*others, f"(udp and src net 10.0.0.0/24 and dst port {last})"])


def _long(last: int) -> str:
    hosts = [f"(src host 10.9.0.{n} and udp dst port {3000 + n})" for n in range(30)]
    return " or ".join([*hosts, f"(src host 10.0.0.1 and udp dst port {last})"])


def cases(folder: str, matching: bool) -> list[FilterCase]:
    """All kinds of filters; of all, the frame matches just the one thing that differs."""
    port = 2000 if matching else 2001
    conversations = Path(folder) / f"conversations-{port}"
    lines = [f"udp 10.{n >> 16}.{n >> 8 & 255}.{n & 255}:5 10.200.0.1:80" for n in range(CONVERSATIONS - 1)]
    conversations.write_text("\n".join([*lines, f"udp 10.0.0.1:1000 10.200.0.1:{port}"]) + "\n")
    exact = f"src host 10.0.0.1 and src port 1000 and dst host 10.200.0.1 and dst port {port}"
    short = f"src host 10.0.0.1 and udp dst port {port}"
    short_both = f"({short}) or (dst host 10.0.0.1 and udp src port {port})"
    return [
        FilterCase("1 rule", _rules(1, f":{port}"), f"udp and src net 10.0.0.0/24 and dst port {port}"),
        FilterCase("1 rule, forward only", _rules(1, f":{port}") + " --no-bidirectional"),
        FilterCase(
            "1 exact rule",
            f"--source 10.0.0.1:1000 --destination 10.200.0.1:{port} --protocol udp",
            f"udp and {exact}",
        ),
        FilterCase("100 rules", _rules(100, f":{port}"), _rules_expression(100, port)),
        FilterCase(f"{CONVERSATIONS:,} conversations", f"--conversations {conversations}"),
        FilterCase("short expression", short, short_both),
        FilterCase("short, forward only", f"{short} --no-bidirectional", short),
        FilterCase("long expression", _long(port), _long(port)),
    ]


def _tools(case: FilterCase) -> list[Tool]:
    words = [tool for tool in tools(case.expression) if tool.name == "tcpdump"] if case.expression else []
    ours = next(tool for tool in tools() if tool.name == "bicap")
    return [Tool("bicap", [*ours.command, *case.options.split()], ours.ready), *words]


def measure(link: VethPair, tool: Tool | None, count: int, folder: str) -> tuple[float, float | None]:
    """The sender's nanoseconds per packet, and the kernel's nanoseconds in our programs where they were timed."""
    if tool is None:
        return send_one(link, FRAME, count) * 1e9 / count, None
    file = f"{folder}/capture"
    running = tool.start(link.netns, ["vb"], file, snaplen=64)
    seconds = send_one(link, FRAME, count)
    running.stop()
    summary = Path(f"{file}.json")
    kernel = json.loads(summary.read_text())["cost"]["kernel_ns_per_packet"] if summary.exists() else None
    summary.unlink(missing_ok=True)
    return seconds * 1e9 / count, kernel


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.matching", description=__doc__)
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--results", help="append JSON lines to this file")
    asked = parser.parse_args()
    lines = []
    print(f"{asked.packets:,} packets, {asked.repeat} runs each, interleaved; medians; {RING_MIB} MiB of ring")
    for matching in (False, True):
        sender: dict[tuple[str, str], list[float]] = defaultdict(list)
        kernel: dict[str, list[float]] = defaultdict(list)
        with VethPair() as link, tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            send_one(link, FRAME, 500_000)
            everything = [case for case in cases(folder, matching) if asked.only in case.name]
            for _ in range(asked.repeat):
                sender["", "nothing"].append(measure(link, None, asked.packets, folder)[0])
                for case in everything:
                    for tool in _tools(case):
                        ns, in_programs = measure(link, tool, asked.packets, folder)
                        sender[case.name, tool.name].append(ns)
                        if in_programs is not None:
                            kernel[case.name].append(in_programs)
        alone = statistics.median(sender["", "nothing"])
        print(f"\n{'matched' if matching else 'unmatched'} traffic; the sender alone {alone:.0f} ns")
        print(f"{'':22}{'kernel ns':>11}{'added ns':>10}{'tcpdump adds':>14}{'ratio':>7}")
        for case in everything:
            ours = statistics.median(sender[case.name, "bicap"]) - alone
            row = f"{case.name:22}{statistics.median(kernel[case.name]):11.0f}{ours:10.0f}"
            if case.expression:
                theirs = statistics.median(sender[case.name, "tcpdump"]) - alone
                row += f"{theirs:14.0f}{ours / theirs:7.2f}"
            print(row)
            facts = {"sender_ns": sender[case.name, "bicap"], "tcpdump_sender_ns": sender[case.name, "tcpdump"]}
            lines.append(as_line(case=case.name, matched=matching, kernel_ns=kernel[case.name], **facts, **machine()))
    if asked.results:
        with open(asked.results, "a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
