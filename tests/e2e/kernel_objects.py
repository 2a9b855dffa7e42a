"""A process -> its BPF objects in the kernel, by bpf(2) and ids, so that no tool has to be installed.

Ids are of the whole machine and come again only after all others, so they tell whether an object is still there.
"""

import ctypes
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyroute2 import IPRoute

from capture.kernel import syscall
from capture.kernel.netns import Namespace
from testbed.patience import PATIENCE

_GET_NEXT_ID = {"prog_id": 11, "map_id": 12, "link_id": 31}  # BPF_{PROG,MAP,LINK}_GET_NEXT_ID
_MOV, _EXIT = 0xB7, 0x95
TC_ACT_OK, TC_ACT_SHOT, TCX_NEXT = 0, 2, -1
PARENTS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
ETH_P_ALL = 3


def held_by(pid: int) -> set[tuple[str, int]]:
    """The programs, maps and links that a process has descriptors of: (kind of id, id)."""
    found: set[tuple[str, int]] = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            lines = info.read_text().splitlines()
        except FileNotFoundError:  # the directory's own, or closed meanwhile
            continue
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        kind = next((kind for kind in ("link_id", "map_id", "prog_id") if kind in fields), None)
        if kind is not None:
            found.add((kind, int(fields[kind])))
    return found


def alive(kind: str) -> Iterator[int]:
    """The ids of all programs, maps or links of the machine."""
    number = 0
    while True:
        # The kernel answers in the attribute's second word, so the buffer has to be read back.
        buffer = ctypes.create_string_buffer(struct.pack("=III", number, 0, 0), 144)
        command = _GET_NEXT_ID[kind]
        if syscall._libc.syscall(syscall._NR_BPF, command, buffer, ctypes.c_uint(len(buffer))) < 0:
            return
        (number,) = struct.unpack_from("=I", buffer, 4)
        yield number


def left_of(objects: set[tuple[str, int]], seconds: float = PATIENCE) -> set[tuple[str, int]]:
    """Which of the objects are still there; the kernel frees them a little after their last descriptor."""
    deadline = time.monotonic() + seconds
    while True:
        left = objects & {(kind, number) for kind in _GET_NEXT_ID for number in alive(kind)}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


class Stranger:
    """Another project's tc program, which gives every packet the same verdict."""

    def __init__(self, verdict: int) -> None:
        code = struct.pack("=BBhi", _MOV, 0, 0, verdict) + struct.pack("=BBhi", _EXIT, 0, 0, 0)
        self._program = syscall.prog_load(code, "stranger")
        self._link = -1

    def filter_on(self, namespace: Namespace, interface: int, side: str) -> None:
        """Become a filter of the clsact qdisc with priority 1 and handle 1, as Cilium and others do."""

        def add() -> None:
            with IPRoute() as netlink:
                netlink.tc(
                    "add-filter", "bpf", interface, handle=1, parent=PARENTS[side], prio=1, protocol=ETH_P_ALL,
                    fd=self._program, name="stranger", direct_action=True,
                )  # fmt: skip

        namespace.run(add)

    def link_on(self, namespace: Namespace, interface: int, side: str) -> int:
        """Become a tcx link; its id."""
        kind = {"ingress": syscall.BPF_TCX_INGRESS, "egress": syscall.BPF_TCX_EGRESS}[side]
        before = set(alive("link_id"))
        self._link = namespace.run(lambda: syscall.tcx_attach(self._program, interface, kind))
        (mine,) = {number for what, number in held_by(os.getpid()) if what == "link_id"} - before
        return mine

    @property
    def runs(self) -> int:
        """How often it ran while run-time statistics were on."""
        return syscall.prog_stats(self._program).runs

    def close(self) -> None:
        for descriptor in (self._program, self._link):
            if descriptor >= 0:
                os.close(descriptor)


@contextmanager
def run_time_statistics() -> Iterator[None]:
    """Let the kernel count how often programs run."""
    switch = syscall.enable_run_time_stats()
    try:
        yield
    finally:
        os.close(switch)
