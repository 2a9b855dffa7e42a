"""`python -m bench.cache_line`: what it costs a program to read one line of a table, chosen by a hash of the packet.

The floor for everything that remembers something per conversation, by the size of the table: beyond the processor's
caches a packet waits for its line. Sizes take turns; medians.
"""

import argparse
import os
import statistics
from collections import defaultdict
from typing import Any

from bench.sampling import send
from capture.benchmark import frames
from capture.benchmark.senders import FlowSender
from capture.benchmark.veth_pair import VethPair
from capture.kernel import syscall
from capture.kernel.compiler import import_bcc

SIZE = 64
LINES = (1 << 8, 1 << 14, 1 << 16, 1 << 18)
FLOWS = (1, 1_000_000)
PROGRAM = """
#include <linux/types.h>
struct line { u64 words[8]; };
BPF_F_TABLE("array", u32, struct line, lines, LINES, BPF_F_MMAPABLE);
int read_line(struct __sk_buff *skb) {
    const u8 *packet = (const u8 *)(long)skb->data;
    if (packet + 38 > (const u8 *)(long)skb->data_end)
        return -1;
    u64 hash = (*(const u32 *)(packet + 26) + ((u64)*(const u16 *)(packet + 34) << 32)) * 0x9fb21c651e98df25ULL;
    hash = (hash ^ hash >> 32) * 0x9fb21c651e98df25ULL;
    u32 index = (hash >> 40) % LINES;
    struct line *line = lines.lookup(&index);
    return line && line->words[hash & 7] == 12345 ? 0 : -1;
}
"""


def load(lines: int) -> tuple[Any, int]:
    """The module (which keeps the map) and the program's descriptor."""
    bcc = import_bcc()
    module = bcc.BPF(text=PROGRAM.encode(), cflags=[f"-DLINES={lines}"])
    return module, module.load_func(b"read_line", bcc.BPF.SCHED_CLS).fd


def measure(link: VethPair, program: int | None, flows: int, count: int) -> float:
    """The sender's nanoseconds per packet, each flow having been sent before."""
    attached = None
    if program is not None:
        attached = link.namespace.run(lambda: syscall.tcx_attach(program, link.vb, syscall.BPF_TCX_INGRESS))
    sender = FlowSender(link.va, frames.udp(SIZE), flows)
    try:
        send(link, sender, flows, SIZE)
        return send(link, sender, count, SIZE)
    finally:
        sender.close()
        if attached is not None:
            os.close(attached)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cache_line", description=__doc__)
    parser.add_argument("--packets", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    times: dict[tuple[int, int], list[float]] = defaultdict(list)
    with VethPair() as link:
        modules = {lines: load(lines) for lines in LINES}
        for _ in range(asked.repeat):
            for flows in FLOWS:
                times[0, flows].append(measure(link, None, flows, asked.packets))
                for lines, (_, program) in modules.items():
                    times[lines, flows].append(measure(link, program, flows, asked.packets))
    print(f"{'table':>10}{'flows':>12}{'sender ns':>11}{'added ns':>10}")
    for (lines, flows), several in times.items():
        ns, alone = statistics.median(several), statistics.median(times[0, flows])
        print(f"{lines * 64 >> 10:6} KiB{flows:12,}{ns:11.0f}{ns - alone:10.0f}")


if __name__ == "__main__":
    main()
