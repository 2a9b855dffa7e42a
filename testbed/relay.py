"""Two namespaces, and a wire between them that delays, loses, repeats and overtakes as a test says -> a capture file.

    client ══ TAP ── before ── P ── after ── TAP ══ server        (the other way round for what the server sends)

The wire is this process: it is told the fate of each frame, and knows what really happened to it. P writes pcapng, as
interface "middle"; with `ends`, both ends of the wire are captured too.
"""

import contextlib
import fcntl
import heapq
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from capture.kernel.netns import Namespace
from capture.pcapng.blocks import InterfaceBlock, interfaces, section_header
from testbed.patience import first_in_line

CLIENT, SERVER = 0, 1
ADDRESSES = ("10.78.0.1", "10.78.0.2")
_MACS = ("02:78:00:00:00:01", "02:78:00:00:00:02")
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_SETTLE_S = 0.15
POINTS = ("client", "middle", "server")
_MIDDLE = 1


@dataclass(frozen=True)
class Fate:
    """What happens to a frame: lost on one of the two halves, repeated, held back; or to the file alone.

    `unseen`: it is not in the file; `copied`: twice, as from a SPAN port that copies both ways.
    """

    lost_before: bool = False
    lost_after: bool = False
    repeated: bool = False
    held_before_s: float = 0.0
    unseen: bool = False
    copied: bool = False


PASSES = Fate()
Policy = Callable[[bytes, int, int], Fate]
"""(frame, who sent it, how many it has sent before) -> its fate."""


@dataclass
class Wire:
    """The namespaces, by CLIENT and SERVER, and what the wire did to TCP segments with payload."""

    namespaces: tuple[Namespace, Namespace]
    counts: dict[str, int] = field(default_factory=dict)
    recording: bool = True


@contextlib.contextmanager
def wire(
    file: Path,
    policy: Policy = lambda *_: PASSES,
    delays_s: tuple[float, float] = (0.0, 0.0),
    ends: bool = False,
) -> Iterator[Wire]:
    """A wire with that policy; `delays_s` is one way, between the client and P, and between P and the server."""
    with contextlib.ExitStack() as stack:
        spaces = [Namespace.fresh() for _ in ADDRESSES]
        for space in spaces:
            stack.callback(space.close)
        taps = [space.run(_tap) for space in spaces]
        for tap in taps:
            stack.callback(os.close, tap)
        for own in (CLIENT, SERVER):
            spaces[own].run(partial(_configure, own))
        done = Wire((spaces[0], spaces[1]))
        stop_read, stop_write = os.pipe()
        stack.callback(os.close, stop_read)
        output = stack.enter_context(file.open("wb"))
        output.write(section_header(hardware="", os="", application="", comment=""))
        output.write(interfaces([InterfaceBlock(name) for name in POINTS]))
        relay = _Relay(taps, policy, delays_s, done, output, ends)
        thread = threading.Thread(target=relay.run, args=(stop_read,))
        thread.start()
        try:
            yield done
            time.sleep(_SETTLE_S + 2 * sum(delays_s))
        finally:
            os.close(stop_write)
            thread.join()


def _tap() -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", b"eth0", _IFF_TAP | _IFF_NO_PI))
    return descriptor


def _configure(own: int) -> None:
    """Addresses, and neighbours and a default route that need no question."""
    other = 1 - own

    def run(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True)

    # What IPv6 says by itself (router solicitations, multicast reports) would be in the file.
    run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    run("ip", "link", "set", "eth0", "address", _MACS[own])
    run("ip", "addr", "add", f"{ADDRESSES[own]}/24", "dev", "eth0")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "neigh", "replace", ADDRESSES[other], "lladdr", _MACS[other], "dev", "eth0", "nud", "permanent")
    if own == CLIENT:
        run("ip", "route", "add", "default", "via", ADDRESSES[other])


class _Relay:
    """Frames in, in time out. `now` is read once per event, so that the file says when P saw it."""

    def __init__(
        self,
        taps: list[int],
        policy: Policy,
        delays_s: tuple[float, float],
        wire: Wire,
        output: IO[bytes],
        ends: bool,
    ) -> None:
        self._ends = ends
        self._taps, self._policy, self._delays, self._wire, self._output = taps, policy, delays_s, wire, output
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sent = [0, 0]
        self._number = 0

    @first_in_line()
    def run(self, stop: int) -> None:
        """Until `stop` can be read; first in line, because a delay is what was asked for and how late this is."""
        while True:
            wait = max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else None
            ready, _, _ = select.select([*self._taps, stop], [], [], wait)
            if stop in ready:
                return
            for side in (CLIENT, SERVER):
                if self._taps[side] in ready:
                    self._take(side)
            while self._queue and self._queue[0][0] <= time.monotonic():
                heapq.heappop(self._queue)[2]()

    def _take(self, side: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = os.read(self._taps[side], 65536)
                fate = self._policy(frame, side, self._sent[side])
                self._sent[side] += 1
                if self._ends:
                    self._write(frame, side, 2 * side)
                if fate.lost_before:
                    self._count("lost_before", frame, side)
                    continue
                self._later(self._delays[side] + fate.held_before_s, partial(self._pass, frame, side, fate))

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (time.monotonic() + seconds, self._number, action))

    def _pass(self, frame: bytes, side: int, fate: Fate) -> None:
        for _ in range(2 if fate.repeated else 1):
            for _ in range(0 if fate.unseen or not self._wire.recording else 1 + fate.copied):
                self._write(frame, side, _MIDDLE)
            if fate.lost_after:
                self._count("lost_after", frame, side)
            else:
                self._later(self._delays[1 - side], partial(self._deliver, frame, side))
        if fate.repeated:
            self._count("repeated", frame, side)
        if fate.held_before_s:
            self._count("held", frame, side)

    def _write(self, frame: bytes, side: int, point: int) -> None:
        now, total = time.time_ns(), 44 + len(frame) + -len(frame) % 4
        self._output.write(
            struct.pack("=IIIIIII", 6, total, point, now >> 32, now & 0xFFFFFFFF, len(frame), len(frame))
        )
        self._output.write(frame + bytes(-len(frame) % 4) + struct.pack("=HHIII", 2, 4, 2 - side, 0, total))

    def _deliver(self, frame: bytes, side: int) -> None:
        if self._ends:
            self._write(frame, side, 2 * (1 - side))
        with contextlib.suppress(OSError):  # the interface's queue is full
            os.write(self._taps[1 - side], frame)

    def _count(self, what: str, frame: bytes, side: int) -> None:
        if payload_bytes(frame):
            name = f"{what}_{('client', 'server')[side]}"
            self._wire.counts[name] = self._wire.counts.get(name, 0) + 1


def tcp_flags(frame: bytes) -> int:
    """Of an IPv4 TCP segment; -1 of anything else."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return -1
    return frame[14 + (frame[14] & 15) * 4 + 13]


def payload_bytes(frame: bytes) -> int:
    """TCP payload of an IPv4 segment; 0 of anything else."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return 0
    header = 14 + (frame[14] & 15) * 4
    return 14 + int.from_bytes(frame[16:18], "big") - header - (frame[header + 12] >> 4) * 4
