"""`make bench`: the tools side by side in one run, interleaved and repeated; medians, and JSON lines to keep.

One sender at full speed sends UDP frames through a veth, as bench/README.md defines. Times are ratios between
the tools of this run; absolute figures change from machine to machine.
"""

import argparse
import os
import statistics
import tempfile
from collections import defaultdict

from bench.link import Link
from bench.senders import XdpSender
from bench.tools import SENDER_CPU, Result, Tool, as_line, machine, tools
from tests import packets


def send(link: Link, frame: bytes, count: int) -> float:
    """Send from va on the sender's CPU; seconds."""

    def inside() -> float:
        os.sched_setaffinity(0, {SENDER_CPU})
        sender = XdpSender(link.va, frame)
        try:
            return sender.send(count)
        finally:
            sender.close()

    return link.namespace.run(inside)


def warm(folder: str, size: int) -> None:
    """Touch the memory that the run's file will take: a virtual machine's first touch of a page costs its host."""
    with open(f"{folder}/warm", "wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    os.unlink(f"{folder}/warm")


def measure(link: Link, tool: Tool | None, frame: bytes, count: int, folder: str) -> tuple[float, Result | None]:
    """One run: the sender's nanoseconds per packet, and what the tool did (None: no tool)."""
    if tool is None:
        return send(link, frame, count) * 1e9 / count, None
    warm(folder, 2 * count * (len(frame) + 64))
    running = tool.start(link.netns, "vb", f"{folder}/{tool.name}", snaplen=262144)
    seconds = send(link, frame, count)
    result = running.stop()
    os.unlink(f"{folder}/{tool.name}")
    return seconds * 1e9 / count, result


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--packets", type=int, default=3_000_000)
    parser.add_argument("--size", type=int, default=64, help="frame length in bytes")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--results", help="append JSON lines to this file")
    asked = parser.parse_args()
    frame = packets.udp("10.0.0.1", 1000, "10.0.0.2", 2000, bytes(asked.size - 42))
    contestants: list[Tool | None] = [None, *tools()]
    sender_ns: dict[str, list[float]] = defaultdict(list)
    results: dict[str, list[Result]] = defaultdict(list)
    with Link() as link, tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        send(link, frame, 200_000)
        for repeat in range(asked.repeat):
            for tool in contestants[repeat % len(contestants) :] + contestants[: repeat % len(contestants)]:
                name = tool.name if tool else "nothing"
                ns, result = measure(link, tool, frame, asked.packets, folder)
                sender_ns[name].append(ns)
                if result is not None:
                    results[name].append(result)
    print(f"{asked.packets:,} packets of {asked.size} bytes, {asked.repeat} runs each, interleaved; medians")
    print(f"{'':10}{'Mpps':>7}{'sender ns':>11}{'added ns':>10}{'CPU ns':>8}{'lost':>12}{'file MB':>9}{'RSS MiB':>9}")
    alone = statistics.median(sender_ns["nothing"])
    lines = []
    for name, times in sender_ns.items():
        ns = statistics.median(times)
        row = f"{name:10}{1000 / ns:7.2f}{ns:11.0f}{ns - alone:10.0f}"
        facts: dict[str, object] = {"sender_ns": times}
        if name in results:
            cpu = [r.cpu_seconds * 1e9 / max(r.written, 1) for r in results[name]]
            lost = [asked.packets - r.written for r in results[name]]
            row += f"{statistics.median(cpu):8.0f}{max(lost):12,}{results[name][0].file_bytes / 1e6:9.0f}"
            row += f"{max(r.peak_rss_mib for r in results[name]):9.0f}"
            facts |= {"cpu_ns": cpu, "lost": lost, "file_bytes": results[name][0].file_bytes}
        print(row)
        lines.append(as_line(tool=name, size=asked.size, packets=asked.packets, **machine(), **facts))
    if asked.results:
        with open(asked.results, "a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
