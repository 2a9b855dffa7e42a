"""bicap as it would be without its design: bcc's own perf buffer, one Python call per packet. Run by bench.peers."""

import argparse
import ctypes
import os
import signal
import struct
import time

from capture.kernel import syscall
from capture.kernel.compiler import import_bcc
from capture.kernel.links import find_interfaces
from capture.kernel.netns import Namespace

PROGRAM = """
#include <linux/types.h>
struct meta { u64 time; u32 length; u32 captured; };
BPF_PERF_OUTPUT(events);
int passes(struct __sk_buff *skb) {
    u32 length = skb->len, captured = length < SNAPLEN ? length : SNAPLEN;
    struct meta meta = {bpf_ktime_get_ns(), length, captured};
    int refused = events.perf_submit_skb(skb, captured, &meta, sizeof(meta));
    return -1;
}
"""


class Meta(ctypes.Structure):
    _fields_ = (("time", ctypes.c_uint64), ("length", ctypes.c_uint32), ("captured", ctypes.c_uint32))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.naive", description=__doc__)
    for word, kind in (("interface", str), ("snaplen", int), ("ring_mib", int), ("file", str)):
        parser.add_argument(word, type=kind)
    asked = parser.parse_args()
    bcc = import_bcc()
    module = bcc.BPF(text=PROGRAM.encode(), cflags=[f"-DSNAPLEN={min(asked.snaplen, 65_000)}"])
    program = module.load_func(b"passes", bcc.BPF.SCHED_CLS).fd
    (found,) = find_interfaces((asked.interface,), Namespace())
    links = [
        syscall.tcx_attach(program, found.index, side) for side in (syscall.BPF_TCX_INGRESS, syscall.BPF_TCX_EGRESS)
    ]
    offset = time.time_ns() - time.monotonic_ns()
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGINT, end)
    with open(asked.file, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1))

        def packet(_cpu: int, data: int, _size: int) -> None:
            meta = ctypes.cast(data, ctypes.POINTER(Meta)).contents
            seconds, nanoseconds = divmod(meta.time + offset, 10**9)
            file.write(struct.pack("<IIII", seconds, nanoseconds, meta.captured, meta.length))
            file.write(ctypes.string_at(data + ctypes.sizeof(Meta), meta.captured))

        pages = (asked.ring_mib << 20) // 4096 // (os.cpu_count() or 1)
        module[b"events"].open_perf_buffer(packet, page_cnt=1 << pages.bit_length() - 1)
        print("listening", flush=True)
        while not ended:
            module.perf_buffer_poll(timeout=100)
    for link in links:
        os.close(link)


if __name__ == "__main__":
    main()
