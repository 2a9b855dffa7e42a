"""Only their owner can read files and directories, and symbolic links are not followed."""

import errno
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from capture.errors import SinkError, SpecError
from capture.sink.place import Owner, cannot, make_directory, make_way, owner_of, write_beside

ME = Owner(os.geteuid(), os.getegid())


def test_a_user_and_its_primary_group() -> None:
    nobody = pwd.getpwnam("nobody")
    assert owner_of("nobody") == Owner(nobody.pw_uid, nobody.pw_gid)
    assert owner_of(None) is None
    with pytest.raises(SpecError, match="user no-such-user does not exist; give one"):
        owner_of("no-such-user")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the quota is used up"),
        (errno.EFBIG, "-C"),
        (errno.EIO, "dmesg"),
        (errno.EROFS, "read-only"),
        (errno.ENOTDIR, "Not a directory"),
    ],
)
def test_an_error_says_what_to_do_in_one_line(code: int, message: str) -> None:
    line = str(cannot("write", "/a/b", OSError(code, os.strerror(code))))
    assert line.startswith("cannot write /a/b: ")
    assert message in line
    assert "\n" not in line


def test_only_the_last_directory_is_made(tmp_path: Path) -> None:
    made = make_directory(str(tmp_path / "new" / "f"), ME)
    assert made == str(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert make_directory(str(tmp_path / "new" / "g"), ME) is None
    assert make_directory("f", ME) is None
    with pytest.raises(FileNotFoundError):
        make_directory(str(tmp_path / "one" / "two" / "f"), ME)
    assert not (tmp_path / "one").exists()


def test_a_small_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "f.json"
    write_beside(str(summary), "one", ME)
    assert summary.read_text() == "one"
    assert stat.S_IMODE(summary.stat().st_mode) == 0o600

    seen = []

    def replace(temporary: str, final: str) -> None:
        seen.append((Path(temporary).read_text(), Path(final).read_text()))
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(SinkError, match="the disk is full"):
        write_beside(str(summary), "two")
    assert seen == [("two", "one")]  # written whole before it takes the name
    assert summary.read_text() == "one"
    assert list(tmp_path.iterdir()) == [summary]


def test_the_file_of_an_earlier_run_is_removed_before_a_small_file(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    make_way(str(ready))
    assert list(tmp_path.iterdir()) == []
    ready.write_text("of an earlier run")
    make_way(str(ready))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prepare", [Path.mkdir, lambda at: at.parent.rmdir()], ids=["a directory", "no directory"])
def test_a_place_that_refuses_a_small_file_is_one_error(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    here = tmp_path / "folder"
    here.mkdir()
    prepare(here / "ready")
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SinkError, match=r"cannot write .*/folder/ready: "):
        make_way(str(here / "ready"))
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives files away")
def test_new_files_and_directories_belong_to_the_user(tmp_path: Path) -> None:
    nobody = owner_of("nobody")
    assert nobody is not None
    make_directory(str(tmp_path / "new" / "f"), nobody)
    write_beside(str(tmp_path / "new" / "f"), "text", nobody)
    for path in (tmp_path / "new", tmp_path / "new" / "f"):
        assert (path.stat().st_uid, path.stat().st_gid) == (nobody.uid, nobody.gid)
