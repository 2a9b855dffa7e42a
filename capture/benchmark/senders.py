"""Packets at full speed, without a generator to install: the kernel repeats one frame by BPF_PROG_TEST_RUN.

`XdpSender` transmits from a veth, so that its peer receives (tc ingress of the peer, in NAPI on the sender's CPU).
`FlowSender` does the same with every frame of another conversation, or with other content.
`QueueSender` puts clones of a frame into a device's queue (tc egress of that device).
Both run in the network namespace and on the CPU of the calling thread. Frames go only into veths that a test or
a benchmark made.
"""

import ctypes
import os
import struct
import time
from collections.abc import Mapping, Sequence

from capture.kernel import syscall
from capture.kernel.compiler import import_bcc

XDP_PASS, XDP_TX = 2, 3
_CALL_CLONE_REDIRECT, _CALL_REDIRECT = 13, 23
_BPF_F_TEST_XDP_LIVE_FRAMES = 1 << 1
BATCH = 256
FLOWS_MAX = 1 << 24
_HEADERS = 42
"""Ethernet, IPv4 and UDP: what stays of the frame where contents are given."""

_POSITION = struct.Struct("=5Q")
# Frames are used again, so what a program writes depends on its count alone and not on what the frame holds.
_PROGRAM_HEAD = """
#include <linux/types.h>

struct position {
    u64 packets;
    u64 began_ns;
    u64 last_batch_ns;
    u64 flow;
    u64 content;
};
BPF_ARRAY(positions, struct position, 1);

static void count(struct position *position) {
    if (position->packets % BATCH == 0)
        position->last_batch_ns = bpf_ktime_get_ns();
    if (position->packets++ == 0)
        position->began_ns = position->last_batch_ns;
}
"""
_FLOWS_PROGRAM = """
#if CONTENTS
struct content {
    u8 bytes[LENGTH];
};
BPF_ARRAY(contents, struct content, CONTENTS);
static long (*store_bytes)(struct xdp_md *ctx, u32 offset, void *from, u32 length) = (void *)190;
#endif

int transmit(struct xdp_md *ctx) {
    u8 *frame = (u8 *)(long)ctx->data;
    u32 only = 0;
    struct position *position = positions.lookup(&only);
    if (!position || frame + HEADERS > (u8 *)(long)ctx->data_end)
        return XDP_ABORTED;
    count(position);
    u32 flow = position->flow;
    position->flow = flow + 1 == FLOWS ? 0 : flow + 1;
    *(u32 *)(frame + 26) = __builtin_bswap32(10 << 24 | flow);
    *(u16 *)(frame + 34) = __builtin_bswap16(1024 + (flow & 0x7fff));
#if CONTENTS
    u32 which = position->content;
    position->content = which + 1 == CONTENTS ? 0 : which + 1;
    struct content *content = contents.lookup(&which);
    if (!content || store_bytes(ctx, HEADERS, content->bytes, LENGTH))
        return XDP_ABORTED;
#endif
    return XDP_TX;
}
"""


def _instruction(code: int, register: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("=BBhi", code, register, 0, immediate)


_MOV, _CALL, _EXIT = 0xB7, 0x85, 0x95


def load_verdict(kind: syscall.ProgramType, verdict: int) -> int:
    """A program that answers the same to every packet; its descriptor."""
    code = _instruction(_MOV, 0, verdict) + _instruction(_EXIT)
    return syscall.prog_load(code, "verdict", kind)


def load_redirect(ifindex: int) -> int:
    """A tc program that sends every packet out of an interface; its descriptor."""
    code = (
        _instruction(_MOV, 1, ifindex)
        + _instruction(_MOV, 2, 0)
        + _instruction(_CALL, 0, _CALL_REDIRECT)
        + _instruction(_EXIT)
    )
    return syscall.prog_load(code, "redirect")


def _test_run(program: int, frame: bytes, repeat: int, context: bytes = b"", flags: int = 0, batch: int = 0) -> None:
    data = ctypes.create_string_buffer(frame, len(frame))
    context_in = ctypes.create_string_buffer(context, len(context)) if context else None
    attributes = struct.pack(
        "=IIIIQQIIIIQQIII",
        *(program, 0, len(frame), 0, ctypes.addressof(data), 0, repeat, 0, len(context), 0),
        ctypes.addressof(context_in) if context_in else 0,
        *(0, flags, 0, batch),
    )
    syscall._bpf(syscall.BPF_PROG_TEST_RUN, attributes)


class XdpSender:
    """Transmits a frame from a veth; the peer must have NAPI, which an XDP program on it gives."""

    def __init__(self, ifindex: int, frame: bytes, program: int | None = None) -> None:
        self._program = load_verdict(syscall.XDP, XDP_TX) if program is None else program
        self._frame = frame
        self._context = struct.pack("=IIIIII", 0, len(frame), 0, ifindex, 0, 0)

    def send(self, packets: int) -> float:
        """Send, and return the seconds it took."""
        start = time.perf_counter()
        _test_run(self._program, self._frame, packets, self._context, _BPF_F_TEST_XDP_LIVE_FRAMES, BATCH)
        return time.perf_counter() - start

    def close(self) -> None:
        os.close(self._program)


class TimedSender(XdpSender):
    """Transmits what a program in C makes of a frame.

    The program has a function `transmit`, and updates the one `struct position` of `positions` with each packet.
    Counting goes on from one `send` to the next, which must not run at the same time.
    """

    def __init__(
        self, ifindex: int, frame: bytes, text: str, macros: Mapping[str, int], contents: Sequence[bytes] = ()
    ) -> None:
        defined = {"HEADERS": _HEADERS, "BATCH": BATCH} | dict(macros)
        flags = ["-Wno-macro-redefined", *(f"-D{name}={value}" for name, value in defined.items())]
        bcc = import_bcc()
        module = bcc.BPF(text=(_PROGRAM_HEAD + text).encode(), cflags=flags)
        for number, content in enumerate(contents):
            padded = content + bytes(-len(content) % 8)
            syscall.map_update(module[b"contents"].map_fd, struct.pack("=I", number), padded)
        self._positions = os.dup(module[b"positions"].map_fd)
        super().__init__(ifindex, frame, os.dup(module.load_func(b"transmit", bcc.BPF.XDP).fd))
        module.cleanup()

    def send(self, packets: int) -> float:
        """Send, and return the seconds it took, without the call's: it installs and removes the program (RCU)."""
        batches = packets // BATCH
        assert batches > 1, f"batches of {BATCH} are timed from the first to the last"
        assert packets % BATCH == 0, f"only whole batches of {BATCH} can be timed"
        position = ctypes.create_string_buffer(_POSITION.size)
        syscall.map_lookup(self._positions, 0, position)
        _, _, _, flow, content = _POSITION.unpack(position.raw)
        syscall.map_update(self._positions, bytes(4), _POSITION.pack(0, 0, 0, flow, content))
        super().send(packets)
        syscall.map_lookup(self._positions, 0, position)
        _, began_ns, last_batch_ns, _, _ = _POSITION.unpack(position.raw)
        return float((last_batch_ns - began_ns) / (batches - 1) * batches) / 1e9

    def close(self) -> None:
        super().close()
        os.close(self._positions)


class FlowSender(TimedSender):
    """Packet i is of conversation i modulo `flows`, and has content i modulo their number, if there are any.

    The source of a UDP frame over IPv4 is rewritten: its address is 10/8 and the conversation's number, its port
    follows from that. Contents are as long as the frame's.
    """

    def __init__(self, ifindex: int, frame: bytes, flows: int = 1, contents: Sequence[bytes] = ()) -> None:
        assert 0 < flows <= FLOWS_MAX, "the number of a conversation is the last 24 bits of an address"
        assert all(len(content) == len(frame) - _HEADERS for content in contents)
        sizes = {"FLOWS": flows, "CONTENTS": len(contents), "LENGTH": len(frame) - _HEADERS}
        super().__init__(ifindex, frame, _FLOWS_PROGRAM, sizes, contents)


class QueueSender:
    """Queues clones of a frame on a device, as a local sender would."""

    def __init__(self, ifindex: int, frame: bytes) -> None:
        code = (
            _instruction(_MOV, 2, ifindex)
            + _instruction(_MOV, 3, 0)
            + _instruction(_CALL, 0, _CALL_CLONE_REDIRECT)
            + _instruction(_MOV, 0, 0)
            + _instruction(_EXIT)
        )
        self._program = syscall.prog_load(code, "queue")
        self._frame = frame

    def send(self, packets: int) -> float:
        """Send, and return the seconds it took."""
        start = time.perf_counter()
        _test_run(self._program, self._frame, packets)
        return time.perf_counter() - start

    def close(self) -> None:
        os.close(self._program)
