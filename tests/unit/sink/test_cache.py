"""Windows of a file are handed to the kernel in order, and dropped once they are on the disk."""

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
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What the kernel was asked: begin (and forget), wait, by the window's number."""
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, *__: found.append(("forget", start // WINDOW)))

    def wait(_: int, start: int, *__: int) -> int:
        found.append(("wait", start // WINDOW))
        return 0

    monkeypatch.setattr(cache, "_sync_file_range", wait)
    return found


def test_a_window_is_waited_for_when_the_next_is_full(asked: list[tuple[str, int]], tmp_path: Path) -> None:
    dropper = CacheDropper()
    with (tmp_path / "f").open("wb") as file:
        for size in (1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW):
            dropper.wrote(file.fileno(), size)
        dropper.close()
    whole = [("forget", 0), ("forget", 1), ("wait", 0), ("forget", 0), ("forget", 2), ("wait", 1), ("forget", 1)]
    rest = [("forget", 3), ("wait", 2), ("forget", 2), ("wait", 3), ("forget", 3)]
    assert asked == whole + rest


def test_a_short_file_costs_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    sink = FileSink(str(tmp_path / "f"))
    sink.write(bytes(1 << 20))
    assert threading.active_count() == before
    sink.close()


def test_files_follow_one_another_and_no_descriptor_is_left(asked: list[tuple[str, int]], tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    dropper = CacheDropper()
    for name in ("a", "b"):
        with (tmp_path / name).open("wb") as file:
            dropper.wrote(file.fileno(), WINDOW)
            dropper.file_ends()
    dropper.close()
    assert [number for what, number in asked if what == "wait"] == [0, 1, 0, 1]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_disk_that_fails_afterwards_is_heard_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_file_that_made_way_is_not_waited_for(asked: list[tuple[str, int]], tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    dropper = CacheDropper()
    with (tmp_path / "f").open("wb") as file:
        os.unlink(tmp_path / "f")
        dropper.wrote(file.fileno(), 3 * WINDOW)
        dropper.close()
    assert asked == []
    assert len(os.listdir("/proc/self/fd")) == before
