"""The words of a command -> `bicap` as a process of its own, forked from one that has everything loaded.

    test ─ WarmProcess ─▶ warm_server ─ fork ─▶ bicap
                       ◀─ pid, pidfd; exit code ─┘

A start of `bicap` loads modules and compiled loops, for up to a second of CPU, and the tests need a thousand starts.
What the process does from `main` on is the same. Tests of the start itself, and of what a shell gives to a process,
start the installed command.
"""

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

NETNS_EXEC = ["ip", "netns", "exec"]


class WarmProcess:
    """A command of bicap that runs. `within`: nothing, or the words of `ip netns exec NAME`."""

    def __init__(self, words: Sequence[str], within: Sequence[str], stdout: IO[str] | int, stderr: IO[str]) -> None:
        self.returncode: int | None = None
        named = within[len(NETNS_EXEC) :]
        request = {
            "words": list(words),
            "environment": dict(os.environ),
            "folder": os.getcwd(),
            "is_named_netns": bool(named),
        }
        place = f"/run/netns/{named[0]}" if named else "/proc/thread-self/ns/net"
        self._life, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with open(os.devnull, "r+") as nothing, open(place) as netns, told:
            output = nothing if stdout == subprocess.DEVNULL else stdout
            shared = [one if isinstance(one, int) else one.fileno() for one in (nothing, output, stderr, netns, told)]
            self.pid, self._pidfd = _server().fork(json.dumps(request).encode(), shared)

    @staticmethod
    def can_run(within: Sequence[str]) -> bool:
        """True if a process can be forked that is as if it had been started within these words."""
        return not within or (list(within[:-1]) == NETNS_EXEC)

    def poll(self) -> int | None:
        """Return the exit code if it has ended, as Popen does."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends; return its exit code. Raises TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"bicap, process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                self.wait()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._life], [], [], timeout)[0]:
            self.returncode = int(self._life.recv(100))
            self._life.close()
            os.close(self._pidfd)
        return self.returncode


class _WarmServer:
    """The server of this process; it ends with the process, which closes its end of the socket."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one_at_a_time = threading.Lock()
        with theirs:
            words = [sys.executable, "-m", "testbed.warm_server", str(theirs.fileno())]
            self._process = subprocess.Popen(words, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        atexit.register(self._end)
        if self._control.recv(1) != b"!":
            raise RuntimeError("testbed.warm_server did not start")

    def _end(self) -> None:
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a child that a test forgot holds the other end
            self._process.wait(10)

    def fork(self, request: bytes, shared: list[int]) -> tuple[int, int]:
        """Return the pid and a pidfd of the process."""
        with self._one_at_a_time:
            socket.send_fds(self._control, [request], shared)
            pid, descriptors, _, _ = socket.recv_fds(self._control, 100, 1)
        return int(pid), descriptors[0]


@functools.cache
def _server() -> _WarmServer:
    return _WarmServer()
