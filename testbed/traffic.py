"""Payloads and a rate -> traffic for as long as a `with` block runs, from the sender's CPU."""

import itertools
import os
import random
import sysconfig
import threading
import time
from pathlib import Path

from capture.benchmark.senders import BATCH, FlowSender
from capture.benchmark.tools import SENDER_CPU
from capture.benchmark.veth_pair import VethPair

CONTENTS = 8_192
"""So many different payloads: together far more than what zstd looks back at."""
CALLS_PER_SECOND = 20
"""A rate is held by bursts of so much of a second: each call waits some milliseconds (RCU) besides."""
UNPACED = 1 << 20
"""Packets in one call where no rate is asked for, so that these waits do not count."""


class Traffic:
    """Sends from va in a thread until the `with` block ends; `pps` 0: without a pause."""

    def __init__(self, link: VethPair, sender: FlowSender, pps: int) -> None:
        self._link, self._sender, self._pps = link, sender, pps
        self._over = threading.Event()
        self._thread = threading.Thread(target=link.namespace.run, args=(self._send,))

    def _send(self) -> None:
        os.sched_setaffinity(0, {SENDER_CPU})
        batches = max(2, (self._pps // CALLS_PER_SECOND or UNPACED) // BATCH)
        due = time.monotonic()
        while not self._over.is_set():
            self._sender.send(batches * BATCH)
            if self._pps:
                due += batches * BATCH / self._pps
                self._over.wait(max(0.0, due - time.monotonic()))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def contents(kind: str, length: int) -> list[bytes]:
    """Payloads as encrypted traffic has them, or text: the source of Python's library."""
    if kind == "random":
        return [random.randbytes(length) for _ in range(CONTENTS)]
    library = itertools.cycle(sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")))
    text = b""
    while len(text) < CONTENTS * length:
        text += next(library).read_bytes()
    return [text[at : at + length] for at in range(0, CONTENTS * length, length)]
