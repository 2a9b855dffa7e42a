"""An index opens a capture as reading it does; one that is damaged, or of another file, is left out of account."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from capture.web import index
from capture.web.kept_exchanges import KeptExchanges
from capture.web.opened import Opened
from testbed import sessions_file

_PACKETS_EACH = 25


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture with its index."""
    path = tmp_path_factory.mktemp("indexed") / "many.pcapng"
    assert sessions_file.write(path, 1000, snaplen=96, first=_PACKETS_EACH) >= index.WORTH
    read = Opened([str(path)])
    before = index.stamp(read)
    read.read()
    index.write(read, before)
    read.close()
    return path


@pytest.fixture
def copied(indexed: Path, tmp_path: Path) -> Path:
    """Copies of both, with their times."""
    for file in indexed.parent.iterdir():
        shutil.copy2(file, tmp_path / file.name)
    return tmp_path / indexed.name


def index_of(capture: Path) -> Path:
    return Path(f"{capture}.bicap-index")


def opens(capture: Path) -> bool:
    opened = Opened([str(capture)])
    found = index.read(opened)
    opened.close()
    return found


def test_a_capture_opened_by_its_index_has_the_same_rows_and_packets(indexed: Path) -> None:
    read, opened = Opened([str(indexed)]), Opened([str(indexed)])
    read.read()
    assert index.read(opened)
    assert np.array_equal(read.sessions.rows, opened.sessions.rows)
    assert np.array_equal(read.packets.rows, opened.packets.rows)
    assert read.findings == opened.findings
    assert (read.first_ns, read.last_ns, read.bytes, read.waits) == (
        opened.first_ns,
        opened.last_ns,
        opened.bytes,
        opened.waits,
    )
    exchange = KeptExchanges(opened).get(700)
    assert len(exchange) == _PACKETS_EACH
    assert np.array_equal(exchange["number"], read.numbers_of(700))
    read.close()
    opened.close()


def overwritten(at: int) -> Callable[[Path], None]:
    """Write 8 other bytes at an offset; from the end if it is negative."""

    def damage(capture: Path) -> None:
        with index_of(capture).open("r+b") as file:
            file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
            file.write(b"\xff" * 8)

    return damage


def cut(capture: Path) -> None:
    os.truncate(index_of(capture), index_of(capture).stat().st_size - 8)


def longer(capture: Path) -> None:
    with index_of(capture).open("ab") as file:
        file.write(bytes(8))


def emptied(capture: Path) -> None:
    index_of(capture).write_bytes(b"")


def folder_instead(capture: Path) -> None:
    index_of(capture).unlink()
    index_of(capture).mkdir()


def touched(capture: Path) -> None:
    os.utime(capture, ns=(0, 1))


def same_size_and_time_but_other_end(capture: Path) -> None:
    found = capture.stat()
    with capture.open("r+b") as file:
        file.seek(-40, os.SEEK_END)
        file.write(b"\x55")
    os.utime(capture, ns=(found.st_atime_ns, found.st_mtime_ns))


def of_another_user(capture: Path) -> None:
    os.chown(index_of(capture), 65_534, 65_534)


@pytest.mark.parametrize(
    "damage",
    [
        overwritten(0), overwritten(8), overwritten(16), overwritten(40), overwritten(-8), cut, longer, emptied,
        folder_instead, touched, same_size_and_time_but_other_end,
        pytest.param(of_another_user, marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root")),
    ],
    ids=[
        "magic", "length of the head", "digest", "head", "last array", "cut", "longer", "empty", "folder", "touched",
        "other end", "other user",
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_index_is_left_out_of_account(copied: Path, damage: Callable[[Path], None]) -> None:
    assert opens(copied)
    damage(copied)
    assert not opens(copied)


def test_a_file_that_changed_while_it_was_read_gets_no_index(copied: Path) -> None:
    index_of(copied).unlink()
    read = Opened([str(copied)])
    before = index.stamp(read)
    read.read()
    touched(copied)
    index.write(read, before)
    read.close()
    assert not index_of(copied).exists()


def test_a_disk_with_little_room_gets_no_index(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index_of(copied).unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 20})())
    read = Opened([str(copied)])
    before = index.stamp(read)
    read.read()
    index.write(read, before)
    read.close()
    assert [file.name for file in copied.parent.iterdir()] == [copied.name]


def test_an_index_holds_sixteen_bytes_per_packet_and_a_row_per_session(indexed: Path) -> None:
    read = Opened([str(indexed)])
    read.read()
    rows = len(read.packets) * 16 + read.count * read.sessions.rows.dtype.itemsize
    data = index_of(indexed).read_bytes()
    head = json.loads(data[32 : 32 + int.from_bytes(data[8:16], "little")])
    assert [name for name, *_ in head["arrays"]][:3] == ["sessions", "ended", "packets"]
    assert rows < len(data) < rows + (64 << 10)
    read.close()
