"""Waiting for what must come, and holding promises about time, on a machine that others use as well."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PATIENCE = float(os.environ.get("BICAP_PATIENCE", "300"))
"""Seconds after which what has not come is given up. They cost nothing where it comes; a machine with a
load of twenty needs them, and emulation twice as many."""


def wait_until(came: Callable[[], object], what: Callable[[], object] = str) -> None:
    """Return when it came; `what` tells what there is instead, if it does not."""
    deadline = time.monotonic() + PATIENCE
    while not came():
        assert time.monotonic() < deadline, f"it has not come in {PATIENCE:g} s: {what()}"
        time.sleep(0.01)


class Stopwatch:
    """Seconds since it was made, without those in which something waited for a CPU, for memory or for a disk.

    Linux counts those (Documentation/accounting/psi.rst); where it does not, as where nobody else works, all count.
    """

    def __init__(self) -> None:
        self._began, self._stalled = time.monotonic(), _stalled()

    @property
    def stalled(self) -> float:
        """Seconds since it was made in which something waited so."""
        return _stalled() - self._stalled

    @property
    def seconds(self) -> float:
        """At least so long it took by itself."""
        return max(0.0, time.monotonic() - self._began - self.stalled)


@contextlib.contextmanager
def first_in_line() -> Iterator[None]:
    """Let this thread run at once when it wants to, whoever else has the CPUs; for what is itself part of a time.

    Threads and processes that it starts do not inherit that (sched(7): SCHED_RESET_ON_FORK). Where the machine does
    not let it, it waits in line as others do.
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, *before)


def calm_sleep(seconds: float) -> None:
    """Give others so long on a calm machine, where nothing tells that it is done; up to ten times on a busy one."""
    watch, deadline = Stopwatch(), time.monotonic() + 10 * seconds
    while watch.seconds < seconds and time.monotonic() < deadline:
        time.sleep(0.05)


def _stalled() -> float:
    """Seconds since boot in which at least one task could not run for want of something."""
    total = 0
    for what in ("cpu", "memory", "io"):
        try:
            some = Path("/proc/pressure", what).read_text().splitlines()[0]
        except OSError:  # the kernel was built or booted without
            continue
        total += int(some.rpartition("total=")[2])
    return total / 1e6
