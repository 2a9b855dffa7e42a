"""`python -m bench.analysis`: readers of a capture file side by side, on the same file, interleaved; medians.

bicap, tshark, tcptrace and dpkt each make a table of the TCP conversations; `bicap read` and `tcpdump -r` write a
line for each packet. bench/README.md defines the columns.
"""

import argparse
import importlib.util
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench.lines import as_line
from capture.benchmark.measure import rounds
from capture.benchmark.process import BICAP
from capture.benchmark.tools import installed, machine
from testbed.sessions_file import write
from testbed.usage import Usage, measure

DPKT = """
import socket, sys
import dpkt
table = {}
with open(sys.argv[1], "rb") as file:
    for time, frame in dpkt.pcapng.Reader(file):
        ip = dpkt.ethernet.Ethernet(frame).data
        a, b = (ip.src, ip.data.sport), (ip.dst, ip.data.dport)
        row = table.setdefault((min(a, b), max(a, b)), [0, 0, 0, 0])
        row[2 * (a > b)] += 1
        row[2 * (a > b) + 1] += len(frame)
for (a, b), row in table.items():
    print(socket.inet_ntoa(a[0]), a[1], socket.inet_ntoa(b[0]), b[1], *row)
"""

READERS = {
    "bicap sessions": [BICAP, "sessions", "{file}"],
    "bicap latency": [BICAP, "latency", "{file}"],
    "bicap diagnose": [BICAP, "diagnose", "{file}"],
    "bicap read": [BICAP, "read", "-n", "{file}"],
    "tcpdump -r": ["tcpdump", "-nn", "-r", "{file}"],
    "tshark conv,tcp": ["tshark", "-n", "-q", "-z", "conv,tcp", "-r", "{file}"],
    "tcptrace": ["tcptrace", "-n", "{file}"],
    "tcptrace -lr": ["tcptrace", "-n", "-lr", "{file}"],
    "dpkt": [sys.executable, "-c", DPKT, "{file}"],
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.analysis", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000, help="of 30 packets each")
    parser.add_argument("--first", type=int, help="only so many packets of each session, which stays open")
    parser.add_argument("--snaplen", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--results", help="append JSON lines to this file")
    asked = parser.parse_args()
    here = {name: installed(READERS[name][0]) for name in asked.only}
    here["dpkt"] = importlib.util.find_spec("dpkt") is not None
    if missing := [name for name in asked.only if not here[name]]:
        parser.error(f"not installed: {', '.join(missing)}; `scripts/setup.sh bench` installs them")
    results: dict[str, list[Usage]] = defaultdict(list)
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="bench-") as folder:
        file = Path(folder) / "sessions.pcapng"
        packets = write(file, asked.sessions, snaplen=asked.snaplen, first=asked.first)
        measure([BICAP, "sessions", "-c", "1", str(file)])  # loops compiled, file in memory
        for _, name in rounds(asked.only, asked.repeat):
            results[name].append(measure([word.replace("{file}", str(file)) for word in READERS[name]]))
        size = file.stat().st_size
    print(f"{packets:,} packets, {asked.sessions:,} sessions, {size >> 20:,} MiB; {asked.repeat} runs; medians")
    print(f"{'':18}{'s':>8}{'packets/s':>13}{'RSS MiB':>9}")
    for name, runs in results.items():
        seconds = statistics.median(run.seconds for run in runs)
        rss = max(run.peak_rss_mib for run in runs)
        print(f"{name:18}{seconds:8.2f}{packets / seconds:13,.0f}{rss:9.0f}")
        if asked.results:
            facts = {"reader": name, "packets": packets, "snaplen": asked.snaplen, **machine()}
            with open(asked.results, "a") as out:
                out.write(as_line(**facts, seconds=[run.seconds for run in runs], rss_mib=rss) + "\n")


if __name__ == "__main__":
    main()
