"""A file is whole after every write, whatever fails; what cannot be written takes nothing away."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from capture.errors import SinkError, SpecError
from capture.sink import file as sink_file
from capture.sink.file import BALLAST, FileSink, ReaderGoneError, StreamSink, make_way, open_sink, write_beside

EARLIER = b"an earlier capture"


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[FileSink]:
    sink = FileSink(str(tmp_path / "f.pcapng"))
    yield sink
    sink.close()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int, int], None]:
    """`failing(n, code, at_most)`: os.write fails at its n-th call, and writes at most so many bytes in others."""

    def install(failing_call: int, code: int, at_most: int) -> None:
        calls = 0
        write = os.write

        def fake(descriptor: int, data: memoryview) -> int:
            nonlocal calls
            calls += 1
            if calls == failing_call:
                raise OSError(code, os.strerror(code))
            return write(descriptor, data[:at_most])

        monkeypatch.setattr(sink_file.os, "write", fake)

    return install


def test_a_short_write_goes_on(sink: FileSink, failing: Callable[[int, int, int], None]) -> None:
    failing(0, 0, 3)
    sink.write(b"0123456789")
    assert Path(sink.name).read_bytes() == b"0123456789"
    assert sink.bytes_written == 10


@pytest.mark.parametrize("failing_call", range(1, 5))
def test_a_batch_is_written_whole_or_not_at_all(
    sink: FileSink, failing: Callable[[int, int, int], None], failing_call: int
) -> None:
    sink.write(b"whole")
    failing(failing_call, errno.ENOSPC, 3)
    with pytest.raises(SinkError, match=r"f\.pcapng: the disk is full"):
        sink.write(b"0123456789")  # four calls of three bytes
    assert Path(sink.name).read_bytes() == b"whole"
    assert sink.bytes_written == 5
    sink.write(b"next")
    assert Path(sink.name).read_bytes() == b"wholenext"


def test_data_may_be_a_view_of_an_array(sink: FileSink) -> None:
    sink.write(memoryview(bytearray(b"abcdef"))[2:4])
    assert Path(sink.name).read_bytes() == b"cd"


def test_a_new_file_is_for_its_owner_only(sink: FileSink) -> None:
    assert stat.S_IMODE(os.stat(sink.name).st_mode) == 0o600


def test_space_is_held_back_until_the_end(sink: FileSink) -> None:
    assert os.fstat(sink._ballast).st_blocks * 512 >= BALLAST
    held = sink._ballast
    sink.finish()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(held)
    sink.write(b"statistics")
    sink.finish()


def test_it_writes_also_where_no_space_can_be_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(sink_file.os, "posix_fallocate", refuse)
    sink = FileSink(str(tmp_path / "f.pcapng"))
    sink.write(b"header")
    sink.close()
    assert (tmp_path / "f.pcapng").read_bytes() == b"header"


def test_an_earlier_file_stays_until_the_first_write(tmp_path: Path) -> None:
    path = tmp_path / "f.pcapng"
    path.write_bytes(EARLIER)
    FileSink(str(path)).close()
    assert path.read_bytes() == EARLIER
    sink = FileSink(str(path))
    sink.write(b"new")
    sink.close()
    assert path.read_bytes() == b"new"


def test_an_earlier_summary_goes_with_its_file(tmp_path: Path) -> None:
    path, summary = tmp_path / "f.pcapng", tmp_path / "f.pcapng.json"
    path.write_bytes(EARLIER)
    summary.write_text('{"complete": true}')
    sink = FileSink(str(path))
    assert summary.exists()
    sink.write(b"new")
    assert not summary.exists()
    sink.close()


def test_a_summary_that_cannot_go_leaves_both(tmp_path: Path) -> None:
    path, summary = tmp_path / "f.pcapng", tmp_path / "f.pcapng.json"
    path.write_bytes(EARLIER)
    summary.mkdir()
    sink = FileSink(str(path))
    with pytest.raises(SinkError, match="cannot replace"):
        sink.write(b"new")
    sink.close()
    assert path.read_bytes() == EARLIER


def test_a_new_file_without_a_byte_goes_again(tmp_path: Path) -> None:
    path = tmp_path / "f.pcapng"
    FileSink(str(path)).close()
    assert not path.exists()


def test_a_new_file_whose_first_write_fails_goes_again(
    tmp_path: Path, failing: Callable[[int, int, int], None]
) -> None:
    path = tmp_path / "f.pcapng"
    sink = FileSink(str(path))
    failing(2, errno.ENOSPC, 3)
    with pytest.raises(SinkError):
        sink.write(b"header")
    sink.close()
    assert not path.exists()


def _symlink(at: Path) -> None:
    at.with_name("target").write_bytes(EARLIER)
    at.symlink_to(at.with_name("target"))


def _dangling(at: Path) -> None:
    at.symlink_to(at.with_name("nothing"))


def _below_a_file(at: Path) -> None:
    at.parent.rmdir()
    at.parent.write_bytes(EARLIER)


REFUSED: list[tuple[str, Callable[[Path], None], str]] = [
    # what is there already, how it comes there, what the error says
    ("a symbolic link", _symlink, "it is a symbolic link, which is not followed"),
    ("a symbolic link to nothing", _dangling, "it is a symbolic link, which is not followed"),
    ("a directory", Path.mkdir, "it is a directory; name a file in it"),
    ("no directory", lambda at: at.parent.rmdir(), "the directory does not exist"),
    ("a file for a directory", _below_a_file, "Not a directory"),
]


@pytest.mark.parametrize(("what", "prepare", "message"), REFUSED, ids=[case[0] for case in REFUSED])
def test_refused(tmp_path: Path, what: str, prepare: Callable[[Path], None], message: str) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    prepare(place / "f.pcapng")
    before = {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}
    with pytest.raises(SinkError, match=message):
        open_sink(str(place / "f.pcapng"))
    assert {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")} == before


def test_no_name() -> None:
    with pytest.raises(SpecError, match="the output has no name"):
        open_sink("")


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    sink = open_sink("/dev/null")
    sink.write(b"header")
    sink.close()
    assert sink.bytes_written == 6
    assert Path("/dev/null").is_char_device()


def test_the_reader_of_a_named_pipe_may_go(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(str(pipe))
    sink.write(b"header")
    assert os.read(reader, 100) == b"header"
    os.close(reader)
    with pytest.raises(ReaderGoneError):
        sink.write(b"more")
    sink.close()
    assert pipe.is_fifo()


class Stdout:
    """sys.stdout on a descriptor of the test."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor


def test_the_reader_of_standard_output_may_go(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr(sys, "stdout", Stdout(writer))
    sink = open_sink("-")
    sink.write(b"header")
    assert os.read(reader, 100) == b"header"
    os.close(reader)
    with pytest.raises(ReaderGoneError, match="the reader of standard output closed it"):
        sink.write(b"more")
    sink.close()
    os.close(writer)


def test_standard_output_must_not_be_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = os.openpty()
    monkeypatch.setattr(sys, "stdout", Stdout(terminal))
    with pytest.raises(SinkError, match="standard output is a terminal; pipe it"):
        StreamSink()
    os.close(controller)
    os.close(terminal)


def test_standard_output_must_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SinkError, match="standard output is closed"):
        StreamSink()


def test_a_small_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "f.json"
    write_beside(str(summary), "one")
    assert summary.read_text() == "one"
    assert stat.S_IMODE(summary.stat().st_mode) == 0o600

    seen = []

    def replace(temporary: str, final: str) -> None:
        seen.append((Path(temporary).read_text(), Path(final).read_text()))
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(sink_file.os, "replace", replace)
    with pytest.raises(SinkError, match="the disk is full"):
        write_beside(str(summary), "two")
    assert seen == [("two", "one")]  # written whole before it takes the name
    assert summary.read_text() == "one"
    assert list(tmp_path.iterdir()) == [summary]


def test_way_is_made_for_a_small_file(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    make_way(str(ready))
    assert list(tmp_path.iterdir()) == []
    ready.write_text("of an earlier run")
    make_way(str(ready))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prepare", [Path.mkdir, lambda at: at.parent.rmdir()], ids=["a directory", "no directory"])
def test_no_way_for_a_small_file(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    prepare(place / "ready")
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SinkError, match=r"cannot write .*/folder/ready: "):
        make_way(str(place / "ready"))
    assert set(tmp_path.rglob("*")) == before
