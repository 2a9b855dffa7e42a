"""A load -> packets at an interface, at full speed or at a rate, from one CPU or from two."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from capture.benchmark import frames
from capture.benchmark.loads import BenchLoad, Way
from capture.benchmark.senders import BATCH, FlowSender, QueueSender, XdpSender
from capture.benchmark.tools import SENDER_CPU
from capture.benchmark.veth_pair import VethPair

_TURNS = 8
"""So often the two directions of a load take turns: each call of the kernel's has a price of its own."""
_BURSTS_PER_SECOND = 50
"""A rate is held by bursts: 20 ms of traffic at once, then a pause."""


@dataclass(frozen=True)
class Paced:
    """What was sent at a rate: packets, seconds with the pauses, and the sender's nanoseconds per packet without."""

    sent: int
    seconds: float
    active_ns: float


class LoadSource:
    """Sends a load's packets through a link while a `with` block lasts; counting goes on from call to call."""

    def __init__(self, link: VethPair, load: BenchLoad) -> None:
        self._link, self._load = link, load
        frame = frames.udp(load.size)
        self._xdp = [
            FlowSender(link.va, frame, load.flows) for _ in range(load.senders if load.way != Way.OUT else 0)
        ]
        self._queues = [QueueSender(link.vb, frame)] if load.way is not Way.IN else []
        self._all: list[FlowSender | QueueSender] = [*self._xdp, *self._queues]

    def __enter__(self) -> "LoadSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._all:
            one.close()

    def send(self, count: int) -> float:
        """Send at full speed; nanoseconds of a sending CPU per packet."""
        if self._load.senders > 1:
            with ThreadPoolExecutor(self._load.senders) as pool:
                share = count // self._load.senders
                jobs = [pool.submit(self._on, cpu, partial(one.send, share)) for cpu, one in enumerate(self._xdp)]
                return sum(job.result() for job in jobs) * 1e9 / count
        turns = self._all * (_TURNS if self._load.way is Way.BOTH else 1)
        share = count // len(turns)
        return self._on(SENDER_CPU, lambda: sum(sender.send(share) for sender in turns)) * 1e9 / count

    def pace(self, count: int, packets_per_second: float) -> Paced:
        """Send at a rate, received packets from one CPU only."""
        batch = max(2, round(packets_per_second / _BURSTS_PER_SECOND / BATCH)) * BATCH
        bursts = -(-count // batch)
        active = 0.0

        def send() -> float:
            nonlocal active
            began = due = time.monotonic()
            for _ in range(bursts):
                active += self._xdp[0].send(batch)
                due += batch / packets_per_second
                time.sleep(max(0.0, due - time.monotonic()))
            return time.monotonic() - began

        seconds = self._on(SENDER_CPU, send)
        return Paced(bursts * batch, seconds, active * 1e9 / (bursts * batch))

    def _on(self, cpu: int, job: Callable[[], float]) -> float:
        def pinned() -> float:
            os.sched_setaffinity(0, {cpu})
            return job()

        return self._link.namespace.run(pinned)


def send_one(link: VethPair, frame: bytes, count: int) -> float:
    """Repeat one frame from va at full speed; seconds."""

    def inside() -> float:
        os.sched_setaffinity(0, {SENDER_CPU})
        sender = XdpSender(link.va, frame)
        try:
            return sender.send(count)
        finally:
            sender.close()

    return link.namespace.run(inside)
