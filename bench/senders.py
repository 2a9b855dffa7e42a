"""Packets at full speed, without a generator to install: the kernel repeats one frame by BPF_PROG_TEST_RUN.

`XdpSender` transmits from a veth, so that its peer receives (tc ingress of the peer, in NAPI on the sender's CPU).
`QueueSender` puts clones of a frame into a device's queue (tc egress of that device).
Both run in the network namespace and on the CPU of the calling thread. Frames go only into veths that a test or
a benchmark made.
"""

import ctypes
import os
import struct
import time

from capture.kernel import syscall

XDP_PASS, XDP_TX = 2, 3
_CALL_CLONE_REDIRECT = 13
_BPF_F_TEST_XDP_LIVE_FRAMES = 1 << 1
_BATCH = 256


def _instruction(code: int, register: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("=BBhi", code, register, 0, immediate)


_MOV, _CALL, _EXIT = 0xB7, 0x85, 0x95


def load_xdp(verdict: int) -> int:
    """An XDP program that answers the same to every frame; its descriptor."""
    code = _instruction(_MOV, 0, verdict) + _instruction(_EXIT)
    return syscall.prog_load(syscall.BPF_PROG_TYPE_XDP, code, "verdict", 0)


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

    def __init__(self, ifindex: int, frame: bytes) -> None:
        self._program = load_xdp(XDP_TX)
        self._frame = frame
        self._context = struct.pack("=IIIIII", 0, len(frame), 0, ifindex, 0, 0)

    def send(self, packets: int) -> float:
        """Send, and return the seconds it took."""
        start = time.perf_counter()
        _test_run(self._program, self._frame, packets, self._context, _BPF_F_TEST_XDP_LIVE_FRAMES, _BATCH)
        return time.perf_counter() - start

    def close(self) -> None:
        os.close(self._program)


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
        self._program = syscall.prog_load(syscall.BPF_PROG_TYPE_SCHED_CLS, code, "queue", 0)
        self._frame = frame

    def send(self, packets: int) -> float:
        """Send, and return the seconds it took."""
        start = time.perf_counter()
        _test_run(self._program, self._frame, packets)
        return time.perf_counter() - start

    def close(self) -> None:
        os.close(self._program)
