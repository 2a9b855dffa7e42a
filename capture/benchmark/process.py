"""A capture tool's command line -> a running process: ready when it says so, what it uses, ended by SIGINT."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

BICAP = str(Path(sys.executable).with_name("bicap"))
"""The command that is installed beside this Python."""
_READY_SECONDS, _END_SECONDS = 120, 300


class Process:
    """Runs in a network namespace while a `with` block does; `ready` is given what the tool has printed so far."""

    def __init__(
        self, netns: str, words: Sequence[str], log: str, ready: Callable[[str], bool], cpu: int | None = None
    ) -> None:
        cpus = os.sched_getaffinity(0) if cpu is None else {cpu}
        self._words, self._log, self._ready, self._netns = words, Path(log), ready, netns
        self._pin = lambda: os.sched_setaffinity(0, cpus)

    def __enter__(self) -> "Process":
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", self._netns, *self._words],
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=self._pin,
            )
        try:
            self._await_ready()
        except BaseException:  # also Ctrl-C
            self._process.kill()
            self._process.wait()
            raise
        return self

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self._ready(self.log()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(self._words)} did not become ready: {self.log()}")
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def log(self) -> str:
        """What it printed."""
        return self._log.read_text()

    def cpu_seconds(self) -> float:
        """User and system time so far, of all its threads that run."""
        # schedstat is in nanoseconds; stat would be in ticks of 10 ms.
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def rss_bytes(self) -> int:
        """Resident memory now, ring memory included where the tool maps it."""
        return self._memory("VmRSS")

    def peak_rss_bytes(self) -> int:
        """The most of it so far."""
        return self._memory("VmHWM")

    def _memory(self, field: str) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+)", status)
        assert found, "the tool has ended"
        return int(found[1]) << 10

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_END_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
        if kind is None and self._process.returncode:
            raise RuntimeError(f"{' '.join(self._words)} ended with {self._process.returncode}: {self.log()}")
