"""Two equal links, a capture on one -> what it adds to a packet, from bursts through the one and the other in turn.

    va ─▶ vb ─▶ out ─▶ (nobody)        vb receives (tc ingress); out sends (tc egress)

What slows the machine slows both links: their difference is steady where times of separate runs are not.
"""

import contextlib
import os
import time
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from capture.benchmark.senders import FlowSender
from capture.benchmark.tools import SENDER_CPU
from capture.benchmark.veth_pair import VethPair, run

_SETTLE = 0.1
"""Seconds in which a capture takes what is left in its rings."""


class ForwardingPair(VethPair):
    """What vb receives leaves by `out`, as a node forwards a pod's packets; its peer is down and takes none."""

    def __enter__(self) -> "ForwardingPair":
        super().__enter__()
        try:
            run("ip", "-n", self.netns, "link", "add", "out", "type", "veth", "peer", "name", "nowhere")
            run("ip", "-n", self.netns, "link", "set", "out", "up")
            self._forwarding = self.forward(self.pairs[0], "out")
        except BaseException:
            super().__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forwarding.close()
        super().__exit__(kind, error, trace)


@dataclass(slots=True)
class Bursts:
    """What was sent: packets per burst, and per burst the sender's seconds without and with the capture."""

    size: int
    seconds: list[tuple[float, float]] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Packets through the link with the capture."""
        return len(self.seconds) * self.size

    @property
    def added_ns(self) -> list[float]:
        """What the capture added per packet, of each burst."""
        return [(watched - alone) * 1e9 / self.size for alone, watched in self.seconds]


class Twins:
    """The links while a `with` block lasts: `watched` is the one to capture on."""

    def __init__(self, frame: bytes, flows: int, forwarding: bool) -> None:
        self._frame, self._flows = frame, flows
        self._kind = ForwardingPair if forwarding else VethPair
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Twins":
        with contextlib.ExitStack() as stack:
            self.alone, self.watched = (stack.enter_context(self._kind()) for _ in range(2))
            self._senders = [
                (link, stack.enter_context(contextlib.closing(FlowSender(link.va, self._frame, self._flows))))
                for link in (self.alone, self.watched)
            ]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def send(self, burst: int, every: float, seconds: float) -> Bursts:
        """Bursts through both, one each every so many seconds, or one after another if that is too soon."""
        found, end = Bursts(burst), time.monotonic() + seconds
        while not found.seconds or time.monotonic() < end:
            times = {}
            # Who goes first alternates, so that a trend is nobody's.
            for link, sender in self._senders[:: 1 if len(found.seconds) % 2 else -1]:
                due = time.monotonic() + every / 2
                times[link] = link.namespace.run(partial(_on_its_cpu, sender, burst))
                time.sleep(max(0.0, due - time.monotonic()))
            found.seconds.append((times[self.alone], times[self.watched]))
        time.sleep(_SETTLE)
        return found


def _on_its_cpu(sender: FlowSender, burst: int) -> float:
    os.sched_setaffinity(0, {SENDER_CPU})
    return sender.send(burst)
