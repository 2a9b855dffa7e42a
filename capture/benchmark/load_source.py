"""A load -> packets at interfaces, at full speed or at a rate, from one CPU or from two."""

import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from capture.benchmark import frames
from capture.benchmark.loads import BenchLoad, Way
from capture.benchmark.mix_sender import MixSender
from capture.benchmark.senders import BATCH, FlowSender, QueueSender, TimedSender, XdpSender
from capture.benchmark.tools import SENDER_CPU
from capture.benchmark.veth_pair import VethPair

_TURNS = 8
"""So often the two directions of a load take turns: each call of the kernel's has a price of its own."""
_BURSTS_PER_SECOND = 50
"""A rate is held by bursts: 20 ms of traffic at once, then a pause."""
_LEAST_BATCHES = 4
"""Batches in a burst, at least. A call that sends takes some 25 ms, because it waits for RCU."""


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
        self._open = contextlib.ExitStack()
        self._xdp: list[TimedSender] = []
        self._queues: list[QueueSender] = []
        if load.mix:
            there, back = link.pairs
            self._open.enter_context(contextlib.closing(link.forward(back, there.name)))
            self._xdp = [MixSender(there.sender, frames.udp(max(load.mix)), back.sender, load.mix, load.flows)]
        else:
            frame, pairs = frames.udp(load.size), link.pairs[: load.links]
            if load.way is not Way.OUT:
                senders = [pairs[number % len(pairs)].sender for number in range(load.senders)]
                self._xdp = [FlowSender(sender, frame, load.flows) for sender in senders]
            if load.way is not Way.IN:
                self._queues = [QueueSender(link.vb, frame)]
        self._all: list[TimedSender | QueueSender] = [*self._xdp, *self._queues]
        for sender in self._all:
            self._open.enter_context(contextlib.closing(sender))

    def __enter__(self) -> "LoadSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def send(self, count: int) -> float:
        """Send at full speed; nanoseconds of a sending CPU per packet."""
        if self._load.senders > 1:
            share = count // self._load.senders
            return sum(self._side_by_side(lambda sender: sender.send(share))) * 1e9 / count
        turns = self._all * (_TURNS if len(self._all) > 1 else 1)
        share = count // len(turns)
        return self._on(SENDER_CPU, lambda: sum(sender.send(share) for sender in turns)) * 1e9 / count

    def pace(self, count: int, packets_per_second: float) -> Paced:
        """Send at a rate, by XDP alone; the bursts of several senders begin together."""
        each = packets_per_second / len(self._xdp)
        batch = max(_LEAST_BATCHES, round(each / _BURSTS_PER_SECOND / BATCH)) * BATCH
        bursts = -(-count // batch // len(self._xdp))
        began = time.monotonic()

        def send(sender: TimedSender) -> float:
            active = 0.0
            for number in range(1, bursts + 1):
                active += sender.send(batch)
                time.sleep(max(0.0, began + number * batch / each - time.monotonic()))
            return active

        active = sum(self._side_by_side(send))
        sent = bursts * batch * len(self._xdp)
        return Paced(sent, time.monotonic() - began, active * 1e9 / sent)

    def _side_by_side(self, job: Callable[[TimedSender], float]) -> list[float]:
        """Call it for each XDP sender: a single one has the CPU that is for it, several share all in turn."""
        usable = [SENDER_CPU] if len(self._xdp) == 1 else sorted(os.sched_getaffinity(0))
        cpus = [usable[number % len(usable)] for number in range(len(self._xdp))]
        with ThreadPoolExecutor(len(self._xdp)) as pool:
            jobs = [
                pool.submit(self._on, cpu, partial(job, sender)) for cpu, sender in zip(cpus, self._xdp, strict=True)
            ]
            return [job.result() for job in jobs]

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
