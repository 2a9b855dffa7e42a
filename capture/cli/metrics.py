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


@contextmanager
def shown_by(server: "MetricsServer") -> Iterator[Tick]:
    """Yield a function that gives the server the numbers of a capture.

    Sessions are followed in the files of a capture from its first tick on: privileges are given up by then.
    """
    from capture.metrics.families import Snapshot
    from capture.metrics.session_follower import SessionFollower

    started = time.time()
    follower: SessionFollower | None = None

    def show(capture: "Capture") -> None:
        nonlocal follower
        paths = [file.path for file in capture.files]
        if follower is None and paths and not capture.plan.spec.storage.compress:
            follower = SessionFollower()
        if follower is not None:
            follower.follow(paths)
        roster = capture.roster
        server.show(
            Snapshot(
                [interface.name for interface in roster.interfaces],
                capture.accounts(),
                len(roster.present),
                time.time(),
                started,
                capture.kernel_reasons(),
                None if follower is None else follower.numbers,
            )
        )

    try:
        yield show
    finally:
        if follower is not None:
            follower.close()


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
