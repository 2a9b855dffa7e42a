"""Compressed files have the same blocks, one frame each, whole up to the last write that the disk accepted."""

import errno
import os
import tempfile
import threading
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.errors import SinkError
from capture.sink import zstd
from capture.sink.files import FileSink
from capture.sink.protocol import ReaderGoneError
from capture.sink.stream import StreamSink
from capture.sink.zstd import ZstdSink
from capture.storage import Storage
from testbed.patience import PATIENCE, Stopwatch, wait_until
from tests.unit.sink.failing import Install, replace_writes

LATER = 1_800_000_000 * 10**9


def decompressed(data: bytes, complete: bool = True) -> bytes:
    """Return the content of the only frame; an incomplete frame must have no end."""
    reader = zstandard.ZstdDecompressor().decompressobj()
    plain = reader.decompress(data)
    assert reader.eof == complete
    assert not reader.unused_data
    return plain


@pytest.fixture
def sink(tmp_path: Path) -> ZstdSink:
    """A sink that the test closes."""
    return ZstdSink(FileSink(str(tmp_path / "f.pcapng.zst")))


def content(sink: ZstdSink, complete: bool = True) -> bytes:
    return decompressed(Path(sink.name).read_bytes(), complete)


@given(st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=20))
@settings(max_examples=30)
def test_decompressed_data_equals_the_input(batches: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sink = ZstdSink(FileSink(f"{folder}/f"))
        for batch in batches:
            sink.write(batch)
        assert sink.flush(PATIENCE)
        assert sink.durable == len(batches)
        sink.close()
        assert content(sink) == b"".join(batches)


def test_compressed_data_is_smaller(sink: ZstdSink) -> None:
    sink.write(bytes(1 << 20))
    assert sink.flush(PATIENCE)
    assert sink.bytes_written == 1 << 20
    assert sink.files[0].bytes < 1 << 10
    sink.close()


def test_the_callers_memory_may_be_reused(sink: ZstdSink) -> None:
    memory = bytearray(b"one")
    sink.write(memoryview(memory))
    memory[:] = b"two"
    sink.write(memoryview(memory))
    sink.close()
    assert content(sink) == b"onetwo"


def test_the_file_of_a_killed_capture_can_be_read_to_the_last_write(sink: ZstdSink) -> None:
    sink.write(b"one")
    sink.write(b"two")
    assert sink.flush(PATIENCE)
    assert content(sink, complete=False) == b"onetwo"
    sink.close()


def test_an_output_without_writes_leaves_no_file(tmp_path: Path) -> None:
    ZstdSink(FileSink(str(tmp_path / "new" / "f"))).close()
    assert list(tmp_path.iterdir()) == []


LARGE = os.urandom(300_000)


LOST = os.urandom(5000)


@pytest.mark.parametrize(
    "closing", [b"statistics", LARGE, LOST], ids=["small", "of several blocks", "equal to what was lost"]
)
def test_a_full_disk_keeps_the_writes_before_and_accepts_the_end(
    sink: ZstdSink, failing: Install, closing: bytes
) -> None:
    sink.write(b"one")
    sink.write(b"two")
    assert sink.flush(PATIENCE)
    failing(1, 2, at_most=1000)
    sink.write(LOST)
    with pytest.raises(SinkError, match="the disk is full"):
        sink.flush(PATIENCE)
    assert sink.durable == 2
    with pytest.raises(SinkError, match="the disk is full"):
        sink.write(b"lost")
    failing()
    sink.finish()
    sink.write(closing)
    assert sink.flush(PATIENCE)
    sink.close()
    assert content(sink) == b"onetwo" + closing


def test_a_disk_full_from_the_start_leaves_nothing(tmp_path: Path, failing: Install) -> None:
    failing(1)
    sink = ZstdSink(FileSink(str(tmp_path / "f")))
    sink.write(b"header")
    with pytest.raises(SinkError, match="the disk is full"):
        sink.flush(PATIENCE)
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_each_file_of_a_set_is_one_frame(tmp_path: Path) -> None:
    sink = ZstdSink(FileSink(str(tmp_path / "f.pcapng.zst"), Storage(file_bytes=1)))
    sink.write(b"a")
    sink.next_file(LATER, b"b", b"c")
    sink.write(b"d")
    sink.close()
    assert [decompressed(Path(record.path).read_bytes()) for record in sink.files] == [b"ab", b"cd"]
    assert sink.durable == 2


@pytest.mark.parametrize("failing_call", [1, 2])
def test_this_file_is_continued_if_the_next_cannot_begin(tmp_path: Path, failing: Install, failing_call: int) -> None:
    sink = ZstdSink(FileSink(str(tmp_path / "f"), Storage(file_bytes=1)))
    sink.write(b"a")
    assert sink.flush(PATIENCE)
    failing(failing_call)
    sink.next_file(LATER, b"b", b"c")
    with pytest.raises(SinkError, match="the disk is full"):
        sink.flush(PATIENCE)
    sink.finish()
    sink.write(b"statistics")
    sink.close()
    assert [decompressed(Path(record.path).read_bytes()) for record in sink.files] == [b"astatistics"]


def test_a_slow_compressor_does_not_make_the_writer_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    real = os.pwrite

    def slow(descriptor: int, data: bytes, offset: int) -> int:
        go_on.wait()
        return real(descriptor, data, offset)

    replace_writes(monkeypatch, slow)
    monkeypatch.setattr(zstd, "QUEUE_BYTES", 1000)
    sink = ZstdSink(FileSink(str(tmp_path / "f")))
    watch = Stopwatch()
    while sink.room():
        sink.write(bytes(100))
    assert watch.seconds < 1
    assert sink.bytes_written == 1000
    assert not sink.room(0.01)
    assert not sink.flush(0.01)
    go_on.set()
    assert sink.room(PATIENCE)
    sink.close()
    assert content(sink) == bytes(1000)


def test_a_reason_to_end_and_a_removed_file_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstd, "_CHECK_SECONDS", 0.01)
    inner = FileSink(str(tmp_path / "f"))
    sink = ZstdSink(inner)
    sink.write(b"header")
    assert sink.flush(PATIENCE)
    monkeypatch.setattr(inner, "_shortage", lambda: "too little is free")
    wait_until(lambda: sink.check() == "too little is free")
    os.unlink(tmp_path / "f")
    with pytest.raises(SinkError, match="was removed"):
        wait_until(lambda: sink.check() is None)
    with pytest.raises(SinkError, match="was removed"):
        sink.close()


def test_a_reader_that_does_not_read_does_not_delay_the_end() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sink = ZstdSink(StreamSink(writer, "-", "standard output"))
    sink.write(b"header")
    assert sink.flush(PATIENCE)
    sink.write(os.urandom(4 << 20))
    assert not sink.flush(0.05)
    watch = Stopwatch()
    sink.close()
    assert watch.seconds < 1
    assert sink.durable == 1
    os.close(reader)


def test_a_reader_that_ends_is_the_normal_end() -> None:
    reader, writer = os.pipe()
    sink = ZstdSink(StreamSink(writer, "-", "standard output"))
    sink.write(b"header")
    assert sink.flush(PATIENCE)
    os.close(reader)
    sink.write(b"more")
    with pytest.raises(ReaderGoneError):
        sink.flush(PATIENCE)
    sink.close()
    assert sink.durable == 1


@given(st.lists(st.binary(min_size=1, max_size=400_000), min_size=1, max_size=6), st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_exactly_the_writes_before_the_failed_one_have_arrived(batches: list[bytes], failing_call: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        real, calls = os.pwrite, iter(range(1, 1 << 30))

        def fake(descriptor: int, data: bytes, offset: int) -> int:
            if next(calls) == failing_call:
                raise OSError(errno.ENOSPC, "full")
            return real(descriptor, data, offset)

        replace_writes(patch, fake)
        sink = ZstdSink(FileSink(f"{folder}/f"))
        arrived = len(batches)
        try:
            for batch in batches:
                sink.write(batch)
            assert sink.flush(PATIENCE)
        except SinkError:
            arrived = failing_call - 1
        assert sink.durable == arrived
        sink.finish()
        replace_writes(patch, real)
        sink.write(b"statistics")
        sink.close()
        assert content(sink) == b"".join(batches[:arrived]) + b"statistics"
