"""A veth pair in a network namespace of its own: frames sent from `va` arrive at `vb` and are dropped."""

import contextlib
import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from types import TracebackType

from capture.benchmark.senders import XDP_PASS, load_verdict
from capture.kernel import syscall
from capture.kernel.netns import Namespace


def run(*words: str) -> str:
    """Run a command that must succeed; its standard output. Raises CalledProcessError."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


class VethPair:
    """`with VethPair() as link:` gives the namespace's name and the ifindexes of va and vb.

    `xdp` puts an XDP program on vb, so that XdpSender can send to it; the MTU then has to fit into a page.
    """

    def __init__(self, mtu: int = 1500, xdp: bool = True) -> None:
        self._mtu, self._xdp = str(mtu), xdp

    def __enter__(self) -> "VethPair":
        self.netns = f"bicap-bench-{uuid.uuid4().hex[:6]}"
        try:
            run("ip", "netns", "add", self.netns)
            self._fill()
        except BaseException:  # also Ctrl-C, which may come when the namespace is half made
            subprocess.run(["ip", "netns", "del", self.netns], capture_output=True, check=False)
            raise
        return self

    def _fill(self) -> None:
        run("ip", "netns", "exec", self.netns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        run("ip", "-n", self.netns, "link", "add", "va", "type", "veth", "peer", "name", "vb")
        for name in ("va", "vb"):
            run("ip", "-n", self.netns, "link", "set", name, "up", "mtu", self._mtu)
        self.namespace = Namespace(self.netns)
        self.va, self.vb = self.namespace.run(lambda: (socket.if_nametoindex("va"), socket.if_nametoindex("vb")))
        if self._xdp:
            self._xdp_link = self.namespace.run(self._attach)

    def _attach(self) -> int:
        program = load_verdict(syscall.XDP, XDP_PASS)
        try:
            return syscall.xdp_attach(program, self.vb, syscall.XDP_FLAGS_DRV_MODE)
        finally:
            os.close(program)

    @contextlib.contextmanager
    def without_xdp(self, wanted: bool = True) -> Iterator[None]:
        """Take the program off vb for as long as a tool brings its own."""
        if wanted:
            os.close(self._xdp_link)
        yield
        if wanted:
            self._xdp_link = self.namespace.run(self._attach)

    def counters(self, name: str) -> tuple[int, int]:
        """Packets received and sent by an interface."""
        words = run("ip", "netns", "exec", self.netns, "cat", "/proc/net/dev").split(f"{name}:")[1].split()
        return int(words[1]), int(words[9])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._xdp:
            os.close(self._xdp_link)
        self.namespace.close()
        run("ip", "netns", "del", self.netns)
