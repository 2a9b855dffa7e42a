"""Documents -> captures in processes of their own: the caller's side.

with Nursery() as nursery:
    child = nursery.start(document)
    child.wait_ready()
    child.stop()
    print(child.wait())
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from capture.errors import KernelError
from capture.nursery.exchange import (
    Concluded,
    Ended,
    Forked,
    IncidentWritten,
    Message,
    NotForked,
    Progress,
    Ready,
    RingOrder,
    TriggerFired,
    WrittenUntil,
    whole_lines,
)
from capture.nursery.exchange import line as packed_line
from capture.request.document import Document

_START_SECONDS = 300.0
"""Longest wait for the server: without kept code it compiles its loops, which takes seconds."""
_READ = 1 << 16
_ENDED = "the nursery has ended; its standard error says why"


@dataclass(frozen=True)
class Outcome:
    """How a child ended. `code` is its exit code, or -N if signal N killed it, and then the rest is None.

    `error` is the line that a user would see, `summary` that of the capture, as in FILE.json.
    """

    code: int
    error: str | None
    summary: dict[str, Any] | None


class CaptureChild:
    """A capture in its own process."""

    def __init__(self, life: socket.socket, report: socket.socket) -> None:
        self._lines = {life: bytearray(), report: bytearray()}
        self._open = {life, report}
        self._report = report
        self.pid = 0
        self.interfaces: list[str] | None = None
        """Where packets are being caught; None before."""
        self.progress: Progress | None = None
        """The latest that is known of its account; None before."""
        self.written_ns = 0
        """Wall-clock time before which all packets are in the file, as far as it was said."""
        self.fired: list[TriggerFired] = []
        """What has fired; whoever reads it removes it."""
        self.incidents = 0
        """Number of incidents that were completed."""
        self._concluded = Concluded()
        self._code: int | None = None
        self._pidfd = -1
        data, descriptors, _, _ = socket.recv_fds(life, _READ, 1)
        if descriptors:
            self._pidfd = descriptors[0]
        self._lines[life] += data
        self._take(life)
        if not data:
            self.close()
            raise KernelError(_ENDED)

    def _take(self, line: socket.socket) -> None:
        for message in whole_lines(self._lines[line]):
            self._hear(message)

    def _hear(self, message: Message) -> None:
        match message:
            case Forked(pid):
                self.pid = pid
            case NotForked(reason):
                self.close()
                raise KernelError(f"the capture cannot start: {reason}")
            case Ready(interfaces):
                self.interfaces = interfaces
            case Progress():
                self.interfaces, self.progress = message.interfaces, message
            case WrittenUntil(until_ns):
                self.written_ns = until_ns
            case TriggerFired():
                self.fired.append(message)
            case IncidentWritten():
                self.incidents += 1
            case Concluded():
                self._concluded = message
            case Ended(code):
                self._code = code

    def stop(self) -> None:
        """End the capture; its file will be complete. Does nothing if it has ended."""
        self._send(signal.SIGTERM)

    def ring(self, order: RingOrder) -> bool:
        """Fire a recorder. False if it takes nothing now, or has ended."""
        try:
            return self._report.send(packed_line(order), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) > 0
        except OSError:
            return False

    def kill(self) -> None:
        """Kill the process: the file stays as it is."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def wait_ready(self, seconds: float | None = None) -> bool:
        """Wait until packets are being caught. False if the capture ended before, or the time is over."""
        self._read_until(lambda: self.interfaces is not None, seconds)
        return self.interfaces is not None

    def wait(self, seconds: float | None = None) -> Outcome | None:
        """Wait until the process has ended. Returns None if the time is over.

        Raises KernelError if the nursery ended first: then nobody knows how the child ended.
        """
        self._read_until(lambda: False, seconds)
        if self._open:
            return None
        if self._code is None:
            raise KernelError(f"{_ENDED}; how the capture with pid {self.pid} ended is unknown")
        return Outcome(self._code, self._concluded.error, self._concluded.summary)

    def listen(self) -> None:
        """Take in what the child has said, without waiting."""
        self._read_until(lambda: False, 0)

    def _read_until(self, came: Callable[[], bool], seconds: float | None) -> None:
        deadline = None if seconds is None else time.monotonic() + seconds
        while self._open and not came():
            poll = select.poll()
            lines = {line.fileno(): line for line in self._open}
            for descriptor in lines:
                poll.register(descriptor, select.POLLIN)
            ready = poll.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1e3)
            for descriptor, _ in ready:
                line = lines[descriptor]
                data = line.recv(_READ)
                self._lines[line] += data
                self._take(line)
                if not data:
                    self._open.discard(line)
            if not ready:
                return

    def close(self) -> None:
        """Forget the child; it goes on."""
        for line in self._lines:
            line.close()
        self._open.clear()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


class Nursery:
    """The server, between `__enter__` and `__exit__`; at its end captures end and complete their files.

    Threads may start captures at the same time. `held` are descriptors that stay open until the last capture has
    ended, also if the caller is killed: a lock is held until then.
    """

    def __init__(self, held: Sequence[int] = ()) -> None:
        self._held = tuple(held)

    def __enter__(self) -> "Nursery":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "capture.nursery.server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *self._held],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # a thread of it would forbid to fork
                start_new_session=True,  # Ctrl-C at the caller's terminal is for the caller
            )
        self._control = ours
        ours.settimeout(_START_SECONDS)
        try:
            began = ours.recv(1)
        except BaseException as error:
            self._process.kill()
            self.__exit__()
            if isinstance(error, TimeoutError):
                raise KernelError(f"the nursery did not start in {_START_SECONDS:g} s") from None
            raise
        if not began:
            self.__exit__()
            raise KernelError(_ENDED)
        return self

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def start(self, document: Document, stdout: int = 1, stderr: int = 2) -> CaptureChild:
        """Fork a process that captures what the document asks for, with these descriptors for its output.

        The call returns when the process exists. Raises KernelError if it cannot be made.
        """
        life, server_life = socket.socketpair()
        report, child_report = socket.socketpair()
        with server_life, child_report, open(os.memfd_create("document"), "wb", buffering=0) as file:
            file.write(msgspec.json.encode(document))
            passed = [file.fileno(), server_life.fileno(), child_report.fileno(), stdout, stderr]
            try:
                socket.send_fds(self._control, [b"+"], passed)
            except OSError as error:
                life.close()
                report.close()
                raise KernelError(f"{_ENDED} ({error.strerror})") from None
        return CaptureChild(life, report)

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.wait()
