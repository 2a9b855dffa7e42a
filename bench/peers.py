"""The tools that bicap is compared with where they are installed, beside those that `bicap bench` knows.

xdpdump cannot be told how much ring memory to use, and takes no filter.
"""

import sys
from pathlib import Path

from capture.benchmark.tools import RING_MIB, Tool, bicap, log_says, tools

_HERE = Path(__file__).parent


def all_tools(expression: str = "") -> list[Tool]:
    """All tools, with the same filter: without those that take none, if there is one."""
    words = [expression] if expression else []
    ours, *others = tools(expression)
    netsniff = f"netsniff-ng --in {{interface}} --out {{file}} -S {RING_MIB}MiB -s -M -T 0xa1b23c4d"
    pcapy = f"{sys.executable} {_HERE}/pcapy_loop.py {{interface}} {{snaplen}} {RING_MIB} {{file}}"
    naive = f"{sys.executable} -m bench.naive {{interface}} {{snaplen}} {RING_MIB} {{file}}"
    found = [
        ours,
        bicap("bicap xdp", "--hook xdp", expression),
        *others,
        Tool("netsniff-ng", [*netsniff.split(), *words], log_says("Running!")),
        Tool("pcapy-ng", [*pcapy.split(), *words], log_says("listening")),
    ]
    if not expression:
        xdpdump = "xdpdump -i {interface} --load-xdp-program -s {snaplen} --perf-wakeup 64 --use-pcap -w {file}"
        found += [
            Tool("xdpdump", xdpdump.split(), log_says("listening on"), brings_xdp=True),
            Tool("naive-bcc", naive.split(), log_says("listening")),
        ]
    return found
