"""Veth pairs in a network namespace of their own: frames sent from `va` arrive at `vb` and are dropped."""

import contextlib
import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from capture.benchmark.senders import XDP_PASS, load_redirect, load_verdict
from capture.kernel import syscall
from capture.kernel.attach import INGRESS, Attachment, attach
from capture.kernel.features import choose_hook
from capture.kernel.netns import Namespace
from capture.plan import Interface
from capture.spec import Hook

_LETTERS = "vwxyzabcdefghijklmnopqrstu"


def run(*words: str) -> str:
    """Run a command that must succeed; its standard output. Raises CalledProcessError."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True, slots=True)
class VethEnds:
    """A pair: the ifindex of the end that senders use, and name and ifindex of the one where packets arrive."""

    sender: int
    name: str
    receiver: int


class VethPair:
    """`with VethPair() as link:` gives the namespace's name and the ifindexes of va and vb.

    `xdp` puts an XDP program on vb, so that XdpSender can send to it; the MTU then has to fit into a page. `count`
    makes more pairs: wa and wb, and so on; `pairs` has all of them.
    """

    def __init__(self, mtu: int = 1500, xdp: bool = True, count: int = 1) -> None:
        self._mtu, self._xdp = str(mtu), xdp
        self._names = [(f"{letter}a", f"{letter}b") for letter in _LETTERS[:count]]

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
        for sender, receiver in self._names:
            run("ip", "-n", self.netns, "link", "add", sender, "type", "veth", "peer", "name", receiver)
            for name in (sender, receiver):
                run("ip", "-n", self.netns, "link", "set", name, "up", "mtu", self._mtu)
        self.namespace = Namespace(self.netns)
        self.pairs = self.namespace.run(
            lambda: [
                VethEnds(socket.if_nametoindex(sender), receiver, socket.if_nametoindex(receiver))
                for sender, receiver in self._names
            ]
        )
        self.va, self.vb = self.pairs[0].sender, self.pairs[0].receiver
        self._xdp_links = self.namespace.run(self._attach) if self._xdp else []

    def _attach(self) -> list[int]:
        program = load_verdict(syscall.XDP, XDP_PASS)
        try:
            return [syscall.xdp_attach(program, pair.receiver, syscall.XDP_FLAGS_DRV_MODE) for pair in self.pairs]
        finally:
            os.close(program)

    def _detach(self) -> None:
        while self._xdp_links:
            os.close(self._xdp_links.pop())

    def forward(self, pair: VethEnds, target: str) -> Attachment:
        """Let all that arrives at a pair leave by the target, as a node forwards the packets of a pod."""
        program = load_redirect(self.namespace.run(lambda: socket.if_nametoindex(target)))
        try:
            receiver = Interface(pair.name, pair.receiver, self.namespace.inode)
            return attach(choose_hook(Hook.AUTO), program, receiver, INGRESS, self.namespace)
        finally:
            os.close(program)

    @contextlib.contextmanager
    def without_xdp(self, wanted: bool = True) -> Iterator[None]:
        """Take the programs off for as long as a tool brings its own."""
        if wanted:
            self._detach()
        yield
        if wanted:
            self._xdp_links = self.namespace.run(self._attach)

    def counters(self, name: str) -> tuple[int, int]:
        """Packets received and sent by an interface."""
        words = run("ip", "netns", "exec", self.netns, "cat", "/proc/net/dev").split(f"{name}:")[1].split()
        return int(words[1]), int(words[9])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._detach()
        self.namespace.close()
        run("ip", "netns", "del", self.netns)
