"""The argument of -w decides the kind of output; an impossible one is refused, and stays unchanged."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from capture.errors import SinkError, SpecError
from capture.sink import stream
from capture.sink.files import FileSink
from capture.sink.open import open_sink
from capture.sink.stream import StreamSink
from capture.sink.zstd import ZstdSink
from capture.storage import MinFree, Storage

EARLIER = b"an earlier capture"


def test_a_path_is_a_file(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "f"))
    assert isinstance(sink, FileSink)
    sink.close()


def test_compression_works_with_every_kind_of_output(tmp_path: Path) -> None:
    for path in (str(tmp_path / "f"), "/dev/null"):
        sink = open_sink(path, Storage(compress="zstd"))
        assert isinstance(sink, ZstdSink)
        sink.close()


def test_a_device_is_written_to_and_stays() -> None:
    sink = open_sink("/dev/null")
    assert isinstance(sink, StreamSink)
    sink.write(b"header")
    sink.close()
    assert (sink.bytes_written, sink.durable, sink.files) == (6, 1, ())
    assert Path("/dev/null").is_char_device()


def test_a_full_device_is_one_clear_error() -> None:
    sink = open_sink("/dev/full")
    with pytest.raises(SinkError, match="/dev/full: the disk is full"):
        sink.write(b"header")
    sink.close()


def test_a_named_pipe_waits_for_its_reader(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    threading.Timer(0.1, reader.start).start()
    sink = open_sink(str(pipe))
    sink.write(b"header")
    sink.close()
    reader.join()
    assert read == [b"header"]
    assert pipe.is_fifo()


def test_a_named_pipe_without_a_reader_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(stream, "READER_SECONDS", 0.05)
    with pytest.raises(SinkError, match="it has no reader; start one first"):
        open_sink(str(tmp_path / "pipe"))


def test_an_output_without_a_name_is_refused() -> None:
    with pytest.raises(SpecError, match="the output has no name"):
        open_sink("")


@pytest.mark.parametrize("path", ["-", "/dev/null"])
@pytest.mark.parametrize(
    ("storage", "option"),
    [(Storage(min_free=MinFree(percent=5)), "--min-free"), (Storage(user="nobody"), "--user")],
)
def test_options_for_files_are_refused_for_a_stream(path: str, storage: Storage, option: str) -> None:
    with pytest.raises(SpecError, match=f"{option} is for files, and -w {path} is a stream"):
        open_sink(path, storage)


def test_standard_output_has_no_files() -> None:
    with pytest.raises(SpecError, match="-C, -G"):
        open_sink("-", Storage(file_bytes=1))


def test_a_user_who_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="user no-such-user does not exist"):
        open_sink(str(tmp_path / "new" / "f"), Storage(user="no-such-user"))
    assert list(tmp_path.iterdir()) == []


def _symlink(at: Path) -> None:
    at.with_name("target").write_bytes(EARLIER)
    at.symlink_to(at.with_name("target"))


def _dangling(at: Path) -> None:
    at.symlink_to(at.with_name("nothing"))


def _below_a_file(at: Path) -> None:
    at.parent.rmdir()
    at.parent.write_bytes(EARLIER)


def _two_missing(at: Path) -> None:
    at.parent.rmdir()
    at.parent.parent.rmdir()


REFUSED: list[tuple[str, Callable[[Path], None], str]] = [
    # what exists already, how it is made, the error
    ("a symbolic link", _symlink, "it is a symbolic link, which is not followed"),
    ("a symbolic link to nothing", _dangling, "it is a symbolic link, which is not followed"),
    ("a directory", Path.mkdir, "it is a directory; name a file in it"),
    ("no directory", _two_missing, "the directory does not exist"),
    ("a file for a directory", _below_a_file, "Not a directory"),
]


@pytest.mark.parametrize(("what", "prepare", "message"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_path_that_cannot_be_written_is_refused_and_unchanged(
    tmp_path: Path, what: str, prepare: Callable[[Path], None], message: str
) -> None:
    place = tmp_path / "folder" / "folder"
    place.mkdir(parents=True)
    prepare(place / "f.pcapng")
    before = {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}
    with pytest.raises(SinkError, match=message):
        open_sink(str(place / "f.pcapng"))
    assert {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")} == before
