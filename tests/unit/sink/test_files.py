"""A file is whole after every write, also after one that fails; a failed start removes nothing."""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import SinkError
from capture.sink.files import BALLAST, FileSink
from capture.sink.output_file import OutputFile
from capture.sink.place import owner_of
from capture.storage import MinFree, Storage
from tests.unit.sink.failing import Install, replace_writes

EARLIER = b"an earlier capture"
SET = Storage(file_bytes=1)
LATER = 1_800_000_000 * 10**9


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[FileSink]:
    sink = FileSink(str(tmp_path / "f.pcapng"))
    yield sink
    sink.close()


def contents(sink: FileSink) -> list[bytes]:
    return [Path(record.path).read_bytes() for record in sink.files]


def test_a_short_write_is_continued(sink: FileSink, failing: Install) -> None:
    failing(at_most=3)
    sink.write(b"0123456789")
    assert contents(sink) == [b"0123456789"]
    assert (sink.bytes_written, sink.durable) == (10, 1)


@pytest.mark.parametrize("failing_call", range(1, 5))
def test_a_batch_is_written_whole_or_not_at_all(sink: FileSink, failing: Install, failing_call: int) -> None:
    sink.write(b"whole")
    failing(failing_call, at_most=3)
    with pytest.raises(SinkError, match=r"f\.pcapng: the disk is full"):
        sink.write(b"0123456789")  # four calls of three bytes
    assert contents(sink) == [b"whole"]
    assert (sink.bytes_written, sink.durable) == (5, 1)
    sink.write(b"next")
    assert contents(sink) == [b"wholenext"]
    assert sink.durable == 2


def test_a_disk_that_refuses_truncation_is_one_error_too(
    sink: FileSink, failing: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EROFS, "read-only")

    failing(1, code=errno.EROFS)
    monkeypatch.setattr(os, "ftruncate", refuse)
    with pytest.raises(SinkError, match="the file system is read-only"):
        sink.write(b"0123456789")


def test_data_may_be_a_view_of_an_array(sink: FileSink) -> None:
    sink.write(memoryview(bytearray(b"abcdef"))[2:4])
    assert contents(sink) == [b"cd"]


def test_a_new_file_and_its_directory_are_for_their_owner_only(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "new" / "f.pcapng"))
    assert stat.S_IMODE(os.stat(sink.name).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == 0o700
    sink.close()
    assert list(tmp_path.iterdir()) == []  # nothing was written, so nothing stays


def test_space_is_reserved_until_the_end(sink: FileSink) -> None:
    assert os.fstat(sink._ballast).st_blocks * 512 >= BALLAST
    held = sink._ballast
    sink.finish()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(held)
    sink.write(b"statistics")
    sink.finish()


def test_a_file_is_written_even_if_no_space_can_be_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    sink = FileSink(str(tmp_path / "f.pcapng"))
    sink.write(b"header")
    sink.close()
    assert contents(sink) == [b"header"]


def test_an_earlier_file_stays_until_the_first_write(tmp_path: Path) -> None:
    path = tmp_path / "f.pcapng"
    path.write_bytes(EARLIER)
    FileSink(str(path)).close()
    assert path.read_bytes() == EARLIER
    sink = FileSink(str(path))
    sink.write(b"new")
    sink.close()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_of_an_earlier_file_read_nothing_of_the_new_one(tmp_path: Path) -> None:
    path, other = tmp_path / "f.pcapng", tmp_path / "other"
    path.write_bytes(EARLIER)
    path.chmod(0o666)
    os.link(path, other)
    with path.open("rb") as reader:
        sink = FileSink(str(path))
        sink.write(b"secret")
        sink.close()
        assert reader.read() == EARLIER
    assert other.read_bytes() == EARLIER
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_earlier_summary_is_removed_with_its_file(tmp_path: Path) -> None:
    path, summary = tmp_path / "f.pcapng", tmp_path / "f.pcapng.json"
    path.write_bytes(EARLIER)
    summary.write_text('{"complete": true}')
    sink = FileSink(str(path))
    assert summary.exists()
    sink.write(b"new")
    assert not summary.exists()
    sink.close()


def test_a_summary_that_cannot_be_removed_leaves_both(tmp_path: Path) -> None:
    path, summary = tmp_path / "f.pcapng", tmp_path / "f.pcapng.json"
    path.write_bytes(EARLIER)
    summary.mkdir()
    sink = FileSink(str(path))
    with pytest.raises(SinkError, match="cannot replace"):
        sink.write(b"new")
    sink.close()
    assert path.read_bytes() == EARLIER


def test_a_new_file_whose_first_write_fails_is_removed(tmp_path: Path, failing: Install) -> None:
    sink = FileSink(str(tmp_path / "new" / "f.pcapng"))
    failing(2, at_most=3)
    with pytest.raises(SinkError):
        sink.write(b"header")
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives files away")
@pytest.mark.parametrize("earlier", [False, True], ids=["new", "over an earlier one"])
def test_a_file_belongs_to_the_user(tmp_path: Path, earlier: bool) -> None:
    nobody = owner_of("nobody")
    assert nobody is not None
    path = tmp_path / "new" / "f.pcapng"
    sink = FileSink(str(path), Storage(user="nobody"))
    if earlier:
        sink.close()
        path.parent.mkdir()
        path.write_bytes(EARLIER)
        sink = FileSink(str(path), Storage(user="nobody"))
    sink.write(b"header")
    sink.close()
    for made in (path,) if earlier else (path, path.parent):
        assert (made.stat().st_uid, made.stat().st_gid) == (nobody.uid, nobody.gid)


@pytest.mark.parametrize("remove", [os.unlink, lambda path: shutil.rmtree(os.path.dirname(path))])
def test_a_removed_file_ends_the_output(tmp_path: Path, remove: Callable[[str], None]) -> None:
    sink = FileSink(str(tmp_path / "folder" / "f.pcapng"))
    sink.write(b"header")
    assert sink.check() is None
    remove(sink.name)
    for use in (sink.check, lambda: sink.write(b"more")):
        with pytest.raises(SinkError, match=r"f\.pcapng was removed while it was written"):
            use()
    sink.close()


def test_a_renamed_file_is_still_written(sink: FileSink) -> None:
    sink.write(b"one")
    os.rename(sink.name, f"{sink.name}.1")
    assert sink.check() is None
    sink.write(b"two")
    assert Path(f"{sink.name}.1").read_bytes() == b"onetwo"


def _disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Replace the disk by one of 1000 blocks of 1 KiB, of which `free` are free for us, and more for root."""
    found = SimpleNamespace(f_frsize=1024, f_blocks=1000, f_bavail=free, f_bfree=1000)
    monkeypatch.setattr(os, "fstatvfs", lambda _: found)


@pytest.mark.parametrize("min_free", [MinFree(percent=5), MinFree(bytes=50 * 1024)])
def test_the_requested_space_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, min_free: MinFree) -> None:
    storage = Storage(min_free=min_free)
    path = str(tmp_path / "new" / "f.pcapng")
    _disk(monkeypatch, 50)
    sink = FileSink(path, storage)
    sink.write(b"header")
    assert sink.check() is None
    _disk(monkeypatch, 49)
    assert sink.check() == f"49.0 KiB are free on its disk, and {min_free} must stay free (--min-free)"
    sink.close()
    shutil.rmtree(tmp_path / "new")
    with pytest.raises(SinkError, match=r"f\.pcapng: 49\.0 KiB are free on its disk"):
        FileSink(path, storage)
    assert list(tmp_path.iterdir()) == []


def test_one_file_follows_another(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "f.pcapng"), SET)
    sink.write(b"a")
    sink.next_file(LATER, b"b", b"c")
    sink.write(b"d")
    sink.close()
    assert contents(sink) == [b"ab", b"cd"]
    assert [record.bytes for record in sink.files] == [2, 2]
    assert sink.files[1].began_ns == LATER
    assert (sink.bytes_written, sink.durable, sink.files_removed) == (4, 2, 0)
    assert sorted(tmp_path.iterdir()) == [Path(record.path) for record in sink.files]


@pytest.mark.parametrize("kept", [1, 2, 3, 9])
def test_the_oldest_file_of_a_ring_is_removed(tmp_path: Path, kept: int) -> None:
    sink = FileSink(str(tmp_path / "f.pcapng"), Storage(file_bytes=1, files_kept=kept))
    other = tmp_path / "f_00000_20200101000000.pcapng"
    other.write_bytes(EARLIER)
    sink.write(b"0")
    for number in range(1, 6):
        sink.next_file(LATER, b"", b"%d" % number)
        assert len(sink.files) == min(kept, number + 1)
    sink.close()
    assert sorted(tmp_path.iterdir()) == [other, *(Path(record.path) for record in sink.files)]
    assert contents(sink) == [b"0", b"1", b"2", b"3", b"4", b"5"][-kept:]
    assert sink.files_removed == max(0, 6 - kept)
    assert other.read_bytes() == EARLIER


def test_a_foreign_file_with_the_name_of_one_of_the_ring_stays(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "f.pcapng"), Storage(file_bytes=1, files_kept=1))
    sink.write(b"0")
    ours = Path(sink.files[0].path)
    ours.rename(tmp_path / "moved")
    ours.write_bytes(EARLIER)
    sink.next_file(LATER, b"", b"1")
    sink.close()
    assert ours.read_bytes() == EARLIER


@pytest.mark.parametrize("failing_call", [1, 2])
def test_the_next_file_begins_and_this_one_is_completed_or_neither_happens(
    tmp_path: Path, failing: Install, failing_call: int
) -> None:
    sink = FileSink(str(tmp_path / "f.pcapng"), SET)
    sink.write(b"a")
    failing(failing_call)
    with pytest.raises(SinkError, match="the disk is full"):
        sink.next_file(LATER, b"statistics", b"header")
    assert contents(sink) == [b"a"]
    assert len(list(tmp_path.iterdir())) == 1
    sink.finish()
    sink.write(b"statistics")
    sink.close()
    assert contents(sink) == [b"astatistics"]


def test_no_file_follows_in_a_removed_directory(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "folder" / "f.pcapng"), SET)
    sink.write(b"a")
    shutil.rmtree(tmp_path / "folder")
    with pytest.raises(SinkError, match="the directory does not exist"):
        sink.next_file(LATER, b"b", b"c")
    sink.close()


EVENTS = st.lists(st.tuples(st.sampled_from(["write", "next"]), st.binary(min_size=1, max_size=9), st.booleans()))


@given(EVENTS, st.integers(1, 4), st.integers(1, 3))
def test_the_files_kept_have_the_accepted_data_and_nothing_else(
    events: list[tuple[str, bytes, bool]], at_most: int, kept: int
) -> None:
    model = [b"header"]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        sink = FileSink(f"{folder}/f.pcapng", Storage(file_bytes=1, files_kept=kept))
        sink.write(b"header")
        real = os.pwrite
        for what, data, fails in events:

            def fake(descriptor: int, left: bytes, offset: int, fails: bool = fails) -> int:
                if fails and len(left) <= at_most:  # the last part of a batch
                    raise OSError(errno.ENOSPC, "full")
                return real(descriptor, left[:at_most], offset)

            replace_writes(patch, fake)
            try:
                if what == "write":
                    sink.write(data[: len(data) // 2], data[len(data) // 2 :])
                    model[-1] += data
                else:
                    sink.next_file(LATER, data, data)
                    model[-1] += data
                    model.append(data)
            except SinkError:
                assert fails
        sink.close()
        assert contents(sink) == model[-kept:]
        assert sorted(os.listdir(folder)) == [os.path.basename(record.path) for record in sink.files]
        assert sink.files_removed == max(0, len(model) - kept)


def test_memory_that_a_file_system_cannot_write_from_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on 9p, for the kernel's rings; bytes of our own are written there."""
    written = os.pwrite

    def refuses_rings(descriptor: int, data: memoryview | bytes, offset: int) -> int:
        if isinstance(data, memoryview):
            raise OSError(errno.EFAULT, "Bad address")
        return written(descriptor, data, offset)

    def refuses(*_: object) -> int:
        raise OSError(errno.EFAULT, "Bad address")

    monkeypatch.setattr(os, "pwrite", refuses_rings)
    monkeypatch.setattr(os, "pwritev", refuses)
    file = OutputFile(str(tmp_path / "file"), None)
    file.append(memoryview(b"one"))
    file.append(memoryview(b"two"), memoryview(b"three"))
    file.close()
    assert (tmp_path / "file").read_bytes() == b"onetwothree"
