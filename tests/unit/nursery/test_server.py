"""Requests that the server cannot serve -> one line for the caller, or an error where a fork would not be safe."""

import errno
import os
import socket
import threading

import pytest

from capture.errors import KernelError
from capture.nursery import server
from capture.nursery.nursery import CaptureChild
from capture.nursery.server import ForkServer, Request


def served(monkeypatch: pytest.MonkeyPatch, missing: int = 0) -> tuple[socket.socket, socket.socket]:
    """Our ends of a child's lines, after a server that cannot fork has seen the request and its caller's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    life, server_life = socket.socketpair()
    report, child_report = socket.socketpair()

    def fails(_: Request) -> int:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(server, "_fork", fails)
    with theirs, server_life, child_report:
        with ours:
            passed = [server_life.fileno(), server_life.fileno(), child_report.fileno(), 1, 2]
            socket.send_fds(ours, [b"+"], passed[: 5 - missing])
        before = sorted(os.listdir("/proc/self/fd"))
        ForkServer(theirs).serve()
        assert sorted(os.listdir("/proc/self/fd")) == before
    return life, report


def test_a_fork_that_fails_is_an_error_of_the_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    life, report = served(monkeypatch)
    with pytest.raises(
        KernelError, match=r"^the capture cannot start: no process can be made: Cannot allocate memory$"
    ):
        CaptureChild(life, report)
    assert life.fileno() == report.fileno() == -1


def test_a_request_without_all_its_descriptors_is_dropped_and_the_caller_hears_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    life, report = served(monkeypatch, missing=1)
    with pytest.raises(KernelError, match="the nursery has ended"):
        CaptureChild(life, report)


def test_a_process_with_two_threads_does_not_fork() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="more than one thread"):
            server._fork(Request(0, 0, 0, 0, 0))
    finally:
        over.set()
        thread.join()
