"""Commands -> processes that log into a folder, and that end when the cluster does."""

import contextlib
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path


class Processes:
    """Running commands, by a name for each."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, tuple[subprocess.Popen[bytes], Sequence[str]]] = {}
        logs.mkdir(parents=True)

    def start(self, name: str, *command: str) -> None:
        """Start a command under a name."""
        with open(self._logs / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._running[name] = process, command

    def __contains__(self, name: str) -> bool:
        return name in self._running

    def pid(self, name: str) -> int:
        """Return the process id."""
        return self._running[name][0].pid

    def log(self, name: str) -> str:
        """Return what a command has written so far."""
        return (self._logs / f"{name}.log").read_text(errors="replace")

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
        """End a command, in the end by SIGKILL."""
        process, _ = self._running[name]
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        process.wait()

    def restart(self, name: str) -> None:
        """Start a stopped command again, as it was."""
        self.start(name, *self._running[name][1])

    def stop_all(self) -> None:
        """End all, the latest first."""
        for name in reversed(self._running):
            self.stop(name)
