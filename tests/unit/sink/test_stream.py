"""A reader may be slow, stop or end: the loop that writes never waits for it, and knows what arrived."""

import fcntl
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import SinkError
from capture.sink.protocol import ReaderGoneError
from capture.sink.stream import StreamSink, standard_output
from testbed.patience import Stopwatch

LARGE = 4 << 20
"""Bytes that are more than any pipe or socket accepts at a time."""


class Stdout:
    """sys.stdout on a descriptor of the test."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor


@pytest.fixture(params=["pipe", "socket"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, StreamSink]]:
    """The reader's end, and a sink on the other end, which is standard output."""
    if request.param == "pipe":
        reader, writer = os.pipe()
    else:
        reader, writer = (end.detach() for end in socket.socketpair())
    monkeypatch.setattr(sys, "stdout", Stdout(writer))
    sink = standard_output()
    os.close(writer)
    yield reader, sink
    sink.close()
    os.close(reader)


def read_all(reader: int, sink: StreamSink) -> bytes:
    """Read until nothing more comes, while the sink sends its backlog. Returns the bytes."""
    read = b""
    while not sink.room() or select.select([reader], [], [], 0)[0]:
        read += os.read(reader, 1 << 16)
    return read


def test_data_waits_for_a_slow_reader_and_the_writer_does_not(ends: tuple[int, StreamSink]) -> None:
    reader, sink = ends
    data = os.urandom(LARGE)
    watch = Stopwatch()
    sink.write(data)
    sink.write(b"more")
    assert not sink.room()
    assert watch.seconds < 0.5
    assert (sink.durable, sink.bytes_written) == (0, LARGE + 4)
    assert read_all(reader, sink) == data + b"more"
    assert sink.durable == 2


def test_flush_waits_no_longer_than_it_may(ends: tuple[int, StreamSink]) -> None:
    _, sink = ends
    sink.write(bytes(LARGE))
    begun, watch = time.monotonic(), Stopwatch()
    assert not sink.flush(0.1)
    assert watch.seconds < 0.5
    assert time.monotonic() - begun > 0.09


def test_the_reader_may_end(ends: tuple[int, StreamSink]) -> None:
    reader, sink = ends
    sink.write(b"header")
    assert os.read(reader, 100) == b"header"
    assert sink.check() is None
    gone = os.dup(reader)
    os.close(gone)
    os.dup2(os.open("/dev/null", os.O_RDONLY), reader)
    for use in (sink.check, lambda: sink.write(b"more")):
        with pytest.raises(ReaderGoneError, match="the reader of standard output closed it"):
            use()
    assert sink.durable == 1


def test_the_reader_may_end_while_data_waits(ends: tuple[int, StreamSink]) -> None:
    reader, sink = ends
    sink.write(bytes(LARGE))
    os.dup2(os.open("/dev/null", os.O_RDONLY), reader)
    with pytest.raises(ReaderGoneError):
        sink.flush(1)
    assert sink.durable == 0


def test_standard_output_stays_blocking_for_processes_that_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr(sys, "stdout", Stdout(writer))
    sink = standard_output()
    assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK
    sink.close()
    os.close(writer)  # still open: only what the sink opened was closed
    os.close(reader)


def test_a_file_behind_standard_output_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "f").open("wb", buffering=0) as file:
        file.write(b"before ")
        monkeypatch.setattr(sys, "stdout", Stdout(file.fileno()))
        sink = standard_output()
        sink.write(b"header")
        assert sink.check() is None
        sink.close()
        file.write(b" after")
    assert (tmp_path / "f").read_bytes() == b"before header after"


def test_standard_output_must_not_be_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = os.openpty()
    monkeypatch.setattr(sys, "stdout", Stdout(terminal))
    with pytest.raises(SinkError, match="standard output is a terminal; pipe it"):
        standard_output()
    os.close(controller)
    os.close(terminal)


def test_standard_output_must_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SinkError, match="standard output is closed"):
        standard_output()


@given(st.lists(st.tuples(st.integers(1, 1 << 20), st.integers(0, 1 << 20)), max_size=12))
def test_a_slow_reader_reads_everything_in_order(steps: list[tuple[int, int]]) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    sink = StreamSink(writer, "-", "standard output")
    sent, read, ends = b"", b"", []
    for number, (size, taken) in enumerate(steps):
        sink.write(bytes([number]) * size)
        sent += bytes([number]) * size
        ends.append(len(sent))
        if taken and select.select([reader], [], [], 0)[0]:
            read += os.read(reader, taken)
        sink.room()
        assert sink.durable >= sum(end <= len(read) for end in ends)
    read += read_all(reader, sink)
    assert read == sent
    assert sink.durable == len(steps)
    sink.close()
    os.close(reader)
