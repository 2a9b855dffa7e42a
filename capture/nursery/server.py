"""`python -m capture.nursery.server FD`: a process with everything loaded, which forks a child for each capture.

FD is a SOCK_SEQPACKET socket to the caller. The server says one byte when it is ready. A request is one byte with the
descriptors of `Request`; the server does not read what is asked for, its child does. When the caller closes its end,
the server ends the captures of its children, waits for them, and ends; if it is killed, they end, too.

Why a fork is safe here: the server has one thread, so no lock is held by a thread that the child does not have, and
it waits for descriptors only. Signals that end a capture are blocked until the child can take them.
"""

import contextlib
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import termios
from collections.abc import Iterator
from typing import NamedTuple

from capture.errors import BicapError
from capture.kernel.compiler import import_bcc
from capture.kernel.descriptors import allow_descriptors
from capture.kernel.features import has_coarse_clock, has_tcx
from capture.kernel.program import compiled_now
from capture.kernel.syscall import trim_heap
from capture.nursery import child
from capture.nursery.exchange import (
    Ended,
    Forked,
    IncidentWritten,
    Message,
    NotForked,
    Progress,
    RingOrder,
    TriggerFired,
    WrittenUntil,
    line,
    whole_lines,
)
from capture.run.own_process import ENDING
from capture.run.planning import plan_capture
from capture.spec import CaptureSpec
from capture.stream.compiled import portions

READY = b"!"
_UNREAD_MOST = 32 << 10
"""Memory of unread messages from which on firings are counted only."""
_DESCRIPTORS = 4096
"""Two for each child, at least."""


class Request(NamedTuple):
    """The descriptors of a request: a file with the document, the server's and the child's line, and output."""

    document: int
    life: int
    report: int
    stdout: int
    stderr: int


def load() -> None:
    """Load what captures need, so that children share its memory: modules, loops, and bcc with all of LLVM."""
    allow_descriptors(_DESCRIPTORS)
    portions.compiled()
    has_tcx()
    has_coarse_clock()
    with contextlib.suppress(BicapError):  # each capture will report it
        import_bcc()
        compiled_now(plan_capture(CaptureSpec(interfaces=("lo",)))).close()
    gc.collect()
    gc.freeze()  # else a child's first collection would write to each object, and have a copy of its page
    trim_heap()


class ForkServer:
    """The children of this process, until the caller has closed its end and all have ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._lives: dict[int, tuple[int, int]] = {}
        """By pidfd: pid, and the line to its caller."""

    def serve(self) -> None:
        """Fork a child for each request, and report the end of each."""
        asked = True
        while asked or self._lives:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._lives:
                    self._reap(descriptor)
                else:
                    asked = self._answer()

    def _answer(self) -> bool:
        """Fork a child for the next request. False if the caller has closed its end."""
        data, descriptors, _, _ = socket.recv_fds(self._control, 1, len(Request._fields))
        if not data:
            self._poll.unregister(self._control)
            for pidfd in self._lives:
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            return False
        if len(descriptors) < len(Request._fields):  # this process may not open more
            for descriptor in descriptors:
                os.close(descriptor)
            return True
        request = Request(*descriptors)
        try:
            pid = _fork(request)
        except OSError as error:
            _say(request.life, NotForked(f"no process can be made: {error.strerror}"))
            os.close(request.life)
        else:
            pidfd = os.pidfd_open(pid)
            self._lives[pidfd] = pid, request.life
            self._poll.register(pidfd, select.POLLIN)
            _say(request.life, Forked(pid), pidfd)
        for other in set(request) - {request.life}:
            os.close(other)
        return True

    def _reap(self, pidfd: int) -> None:
        self._poll.unregister(pidfd)
        pid, life = self._lives.pop(pidfd)
        _say(life, Ended(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
        os.close(pidfd)
        os.close(life)


def _fork(request: Request) -> int:
    """Return the child's pid; the child does not return."""
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("bug: the nursery has more than one thread")
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        pid = os.fork()
        if pid == 0:
            _be_child(request, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    return pid


def _be_child(request: Request, parent: int) -> None:
    code = 1
    try:
        child.become_child(parent, request.stdout, request.stderr, {request.document, request.report})
        with open(request.document, "rb") as file, socket.socket(fileno=request.report) as report:
            file.seek(0)
            code = child.run(file.read(), lambda message: _tell(report, message), lambda: _told(report))
    finally:
        os._exit(code)  # nothing of the server may run


def _tell(report: socket.socket, message: Message) -> bool:
    """Send a message to the caller. False if it was left out."""
    with contextlib.suppress(OSError):  # the caller is gone
        # Packets do not wait for a caller who does not listen: the next message will have the same, and more.
        if isinstance(message, Progress | WrittenUntil) and not _all_read(report):
            return False
        if isinstance(message, TriggerFired | IncidentWritten) and _unread(report) > _UNREAD_MOST:
            return False
        report.sendall(line(message))
    return True


def _told(report: socket.socket) -> Iterator[RingOrder]:
    """Yield what the caller says, until it is gone."""
    buffer = bytearray()
    while data := report.recv(1 << 16):
        buffer += data
        yield from (message for message in whole_lines(buffer) if isinstance(message, RingOrder))


def _all_read(line: socket.socket) -> bool:
    """True if the other side has read all that was sent."""
    return _unread(line) == 0


def _unread(line: socket.socket) -> int:
    """Return the memory of what the other side has not read yet."""
    return int.from_bytes(fcntl.ioctl(line, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def _say(life: int, message: Message, *descriptors: int) -> None:
    """Messages of the server are small, and few: they never wait for the caller."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(life)) as caller:
        socket.send_fds(caller, [line(message)], list(descriptors), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    load()
    control.send(READY)
    ForkServer(control).serve()


if __name__ == "__main__":
    main()
