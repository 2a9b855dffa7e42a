"""Windows of a file are given to the kernel in order, and dropped when they are on the disk."""

import ctypes
import errno
import os
import threading
from pathlib import Path

import pytest

from capture.errors import SinkError
from capture.sink import cache
from capture.sink.cache import WINDOW, CacheDropper
from capture.sink.files import FileSink


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The requests to the kernel: begin (and drop) or wait, with the number of the window."""
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, *__: found.append(("forget", start // WINDOW)))

    def wait(_: int, start: int, *__: int) -> int:
        found.append(("wait", start // WINDOW))
        return 0

    monkeypatch.setattr(cache, "_sync_file_range", wait)
    return found


def test_a_window_is_waited_for_when_the_next_is_full(requests: list[tuple[str, int]], tmp_path: Path) -> None:
    dropper = CacheDropper()
    with (tmp_path / "f").open("wb") as file:
        for size in (1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW):
            dropper.wrote(file.fileno(), size)
        dropper.close()
    whole = [("forget", 0), ("forget", 1), ("wait", 0), ("forget", 0), ("forget", 2), ("wait", 1), ("forget", 1)]
    rest = [("forget", 3), ("wait", 2), ("forget", 2), ("wait", 3), ("forget", 3)]
    assert requests == whole + rest


def test_a_short_file_costs_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    sink = FileSink(str(tmp_path / "f"))
    sink.write(bytes(1 << 20))
    assert threading.active_count() == before
    sink.close()


def test_files_are_handled_in_order_and_no_descriptor_is_left(
    requests: list[tuple[str, int]], tmp_path: Path
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    dropper = CacheDropper()
    for name in ("a", "b"):
        with (tmp_path / name).open("wb") as file:
            dropper.wrote(file.fileno(), WINDOW)
            dropper.file_ends()
    dropper.close()
    assert [number for what, number in requests if what == "wait"] == [0, 1, 0, 1]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_disk_that_fails_after_a_write_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(cache, "_sync_file_range", fail)
    sink = FileSink(str(tmp_path / "f"))
    sink.write(bytes(2 * WINDOW))
    sink._cache.close()
    with pytest.raises(SinkError, match="the disk does not take it"):
        sink.check()
    sink.close()


def test_a_removed_file_is_not_waited_for(requests: list[tuple[str, int]], tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    dropper = CacheDropper()
    with (tmp_path / "f").open("wb") as file:
        os.unlink(tmp_path / "f")
        dropper.wrote(file.fileno(), 3 * WINDOW)
        dropper.close()
    assert requests == []
    assert len(os.listdir("/proc/self/fd")) == before
