"""--metrics of `bicap capture`: its address -> a server that has the counters of the running capture."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from capture.errors import SpecError

if TYPE_CHECKING:
    from capture.metrics.serving import MetricsServer
    from capture.run.capture import Capture

REFRESH_SECONDS = 1.0
"""Age of the numbers at most."""

Tick = Callable[["Capture"], None]


@contextmanager
def bound(address: str | None) -> "Iterator[MetricsServer | None]":
    """Yield a server that listens at the address and does not answer yet; None without one. Raises SpecError."""
    if address is None:
        yield None
        return
    try:
        from capture.metrics.serving import MetricsServer
    except ImportError:
        raise SpecError("--metrics needs prometheus-client; pip install 'bicap[metrics]'") from None
    server = MetricsServer(address)
    try:
        yield server
    finally:
        server.close()


def shown_by(server: "MetricsServer") -> Tick:
    """Return a function that gives the server the counters of a capture."""
    from capture.metrics.families import Snapshot

    started = time.time()

    def show(capture: "Capture") -> None:
        roster = capture.roster
        names = [interface.name for interface in roster.interfaces]
        server.show(Snapshot(names, capture.accounts(), len(roster.present), time.time(), started))

    return show


def each(ticks: Sequence[tuple[float, Tick]]) -> tuple[Tick | None, float]:
    """Return one function and its interval in seconds for several, each with its own."""
    if not ticks:
        return None, REFRESH_SECONDS
    due = [0.0] * len(ticks)

    def tick(capture: "Capture") -> None:
        now = time.monotonic()
        for number, (seconds, run) in enumerate(ticks):
            if now >= due[number]:
                run(capture)
                due[number] = now + seconds

    return tick, min(seconds for seconds, _ in ticks)
