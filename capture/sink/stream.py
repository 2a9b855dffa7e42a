"""Blocks -> a reader at the other end of a pipe or socket, which may be slow or end; nothing here waits for it.

Data that the reader has not read yet is in a backlog; there is room for more when the backlog is empty. If a reader
ends, the stream may be cut anywhere: only whole batches count as arrived.
"""

import contextlib
import errno
import fcntl
import os
import select
import socket
import stat
import sys
import time
from collections import deque

from capture.errors import SinkError
from capture.sink.memory import write_on
from capture.sink.place import cannot
from capture.sink.protocol import FileRecord, ReaderGoneError

PIPE_BYTES = 1 << 20
"""Size of a pipe, where the system allows it, so that a reader may pause for several batches."""
READER_SECONDS = 10.0
"""Longest wait for the reader of a named pipe."""


class StreamSink:
    """An open descriptor, which `close` closes: a pipe (not blocking), a socket, a device, or a redirected output."""

    files: tuple[FileRecord, ...] = ()
    files_removed = 0
    place = None

    def __init__(self, descriptor: int, name: str, shown: str) -> None:
        self.name, self.bytes_written, self.durable = name, 0, 0
        self._descriptor, self._shown = descriptor, shown
        self._backlog: deque[memoryview] = deque()
        self._socket: socket.socket | None = None
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            self._socket = socket.socket(fileno=descriptor)
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def write(self, *parts: memoryview | bytes) -> None:
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        rest = self._send(memoryview(data)) if not self._backlog else memoryview(data)
        if rest:
            self._backlog.append(memoryview(bytes(rest)))
        else:
            self.durable += 1
        self.bytes_written += len(data)

    def _send(self, view: memoryview) -> memoryview:
        """Send without waiting. Returns the rest that was not accepted."""
        try:
            while view:
                if self._socket is None:
                    sent = write_on(self._descriptor, view)
                else:
                    sent = self._socket.send(view, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                view = view[sent:]
        except BlockingIOError:
            pass
        except ConnectionError:
            raise self._gone() from None
        except OSError as error:
            raise cannot("write", self._shown, error) from None
        return view

    def _gone(self) -> ReaderGoneError:
        return ReaderGoneError(f"the reader of {self._shown} closed it")

    def room(self, seconds: float = 0) -> bool:
        deadline = time.monotonic() + seconds
        while self._backlog:
            self._backlog[0] = self._send(self._backlog[0])
            if not self._backlog[0]:
                self._backlog.popleft()
                self.durable += 1
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._poll.poll(left * 1000)
        return True

    def flush(self, seconds: float) -> bool:
        return self.room(seconds)

    def check(self) -> str | None:
        for _, events in self._poll.poll(0):
            if events & (select.POLLERR | select.POLLHUP):
                raise self._gone()
        return None

    def next_file(self, wall_ns: int, last: bytes, first: bytes) -> None:
        raise SinkError(f"{self._shown} is a stream; no other file can follow it")

    def finish(self) -> None:
        pass

    def close(self) -> None:
        if self._socket is not None:
            self._socket.detach()
        os.close(self._descriptor)


def standard_output() -> StreamSink:
    """Return a sink for standard output, for `wireshark -k -i -`. Raises SinkError."""
    if sys.stdout is None:
        raise SinkError("standard output is closed; pipe it (bicap capture -w - ... | tshark -i -)")
    shown, descriptor = "standard output", sys.stdout.fileno()
    if os.isatty(descriptor):
        raise SinkError("standard output is a terminal; pipe it (bicap capture -w - ... | tshark -i -)")
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return StreamSink(os.dup(descriptor), "-", shown)
    try:
        # Opened anew, because processes that share our standard output need it to stay blocking.
        opened = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise ReaderGoneError(f"the reader of {shown} closed it") from None
        raise cannot("write", shown, error) from None
    return StreamSink(opened, "-", shown)


def named_stream(path: str) -> StreamSink:
    """Return a sink for a named pipe or a device; waits for the reader of a pipe. Raises SinkError."""
    deadline = time.monotonic() + READER_SECONDS
    while True:
        try:
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
            return StreamSink(os.open(path, flags), path, path)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise cannot("write", path, error) from None
        if time.monotonic() >= deadline:
            raise SinkError(f"cannot write {path}: it has no reader; start one first (tshark -i {path})")
        time.sleep(0.02)
