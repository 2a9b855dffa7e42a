"""Frames through a bench Link: a number of them, or without end while a `with` block runs.

Both directions are counted on vb: what leaves va is received there, and vb sends. XdpSender is faster, and needs
Linux 5.18. The kernel delivers what it sends in bulks of 16, and keeps the rest of the last one: ask for multiples.
"""

import errno
import functools
import os
import threading
import time

from capture.benchmark.senders import QueueSender, XdpSender
from capture.benchmark.veth_pair import VethPair
from testbed import packets

TO_VB = packets.udp("10.0.0.1", 1000, "10.0.0.2", 2000, bytes(range(22)))
FROM_VB = packets.udp("10.0.0.2", 2000, "10.0.0.1", 1000, bytes(range(22, 44)))
CHUNK = 2048
BULK = 16
PAUSE = 0.01


@functools.cache
def _from_va() -> type[XdpSender] | type[QueueSender]:
    """Return the sender for va."""
    with VethPair() as link:
        try:
            _send(link, XdpSender(link.va, TO_VB), BULK, None)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return QueueSender
    return XdpSender


def receive(link: VethPair, count: int, cpu: int | None = None) -> None:
    """Let vb receive frames, from one CPU if it is given; what the veth had no room for is sent again."""
    assert count % BULK == 0
    wanted = link.counters("vb")[0] + count
    while count > 0:
        _send(link, _from_va()(link.va, TO_VB), count, cpu)
        count = wanted - settled(link)


def settled(link: VethPair) -> int:
    """How many frames vb has received, once it has received all that are on the way."""
    received = -1
    while received != (received := link.counters("vb")[0]):
        time.sleep(0.02)
    return received


def transmit(link: VethPair, count: int, cpu: int | None = None) -> None:
    """Let vb send frames."""
    _send(link, QueueSender(link.vb, FROM_VB), count, cpu)


def _send(link: VethPair, sender: XdpSender | QueueSender, count: int, cpu: int | None) -> None:
    def inside() -> None:
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        sender.send(count)

    try:
        link.namespace.run(inside)
    finally:
        sender.close()


class BothWays:
    """vb receives and sends, some 100,000 packets a second each, until the block ends or an interface goes away."""

    def __init__(self, link: VethPair) -> None:
        self._link = link
        self._over = threading.Event()
        sources = [(_from_va(), link.va, TO_VB), (QueueSender, link.vb, FROM_VB)]
        self._threads = [threading.Thread(target=self._run, args=args) for args in sources]

    def _run(self, kind: type[XdpSender] | type[QueueSender], interface: int, frame: bytes) -> None:
        while not self._over.is_set():
            try:
                _send(self._link, kind(interface, frame), CHUNK, None)
            except OSError:  # the interface is gone
                return
            self._over.wait(PAUSE)

    def __enter__(self) -> "BothWays":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
