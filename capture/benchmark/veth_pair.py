"""A veth pair for benchmarks, in a namespace of its own: frames sent from `va` arrive at `vb` and are dropped."""

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from types import TracebackType

from pyroute2 import IPRoute

from capture.benchmark.senders import XDP_PASS, load_verdict
from capture.kernel import syscall
from capture.kernel.netns import Namespace


def run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


class VethPair:
    """`with VethPair() as link:` gives the namespace's name and the ifindexes of va and vb.

    `xdp` puts an XDP program on vb, so that XdpSender can send to it; the MTU then has to fit into a page.
    """

    def __init__(self, mtu: int = 1500, xdp: bool = True) -> None:
        self._mtu, self._xdp = str(mtu), xdp

    def __enter__(self) -> "VethPair":
        self.netns = f"bicap-bench-{uuid.uuid4().hex[:6]}"
        run("ip", "netns", "add", self.netns)
        try:
            self._fill()
        except BaseException:  # also Ctrl-C
            run("ip", "netns", "del", self.netns)
            raise
        return self

    def _fill(self) -> None:
        run("ip", "netns", "exec", self.netns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        run("ip", "-n", self.netns, "link", "add", "va", "type", "veth", "peer", "name", "vb")
        for name in ("va", "vb"):
            run("ip", "-n", self.netns, "link", "set", name, "up", "mtu", self._mtu)
        self.namespace = Namespace(self.netns)
        self.va, self.vb = self.namespace.run(self._prepare)

    def _prepare(self) -> tuple[int, int]:
        with IPRoute() as netlink:
            va, vb = (netlink.link_lookup(ifname=name)[0] for name in ("va", "vb"))
            if self._xdp:
                program = load_verdict(syscall.XDP, XDP_PASS)
                netlink.link("set", index=vb, xdp_fd=program)
                os.close(program)
        return va, vb

    @contextlib.contextmanager
    def without_xdp(self, wanted: bool = True) -> Iterator[None]:
        """Take the program off vb for as long as a tool brings its own."""
        if wanted:
            run("ip", "-n", self.netns, "link", "set", "vb", "xdp", "off")
        yield
        if wanted:
            self.namespace.run(self._prepare)

    def counters(self, name: str) -> tuple[int, int]:
        """Packets received and sent by an interface."""
        words = run("ip", "netns", "exec", self.netns, "cat", "/proc/net/dev").split(f"{name}:")[1].split()
        return int(words[1]), int(words[9])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.namespace.close()
        run("ip", "netns", "del", self.netns)
