"""Outputs with a name of their own: no earlier output is replaced, and neither is its summary."""

from pathlib import Path

import pytest

from capture.sink.fileset import own_name
from capture.sink.open import open_sink
from capture.storage import Storage

AT = 1_796_000_000 * 10**9


def test_the_name_has_the_time_of_the_start_before_its_extensions(tmp_path: Path) -> None:
    first = own_name(str(tmp_path / "web.pcapng"), AT)
    assert Path(first).name.startswith("web_20261130")
    assert first.endswith(".pcapng")
    assert own_name(str(tmp_path / "web.pcapng.zst"), AT) == first + ".zst"


@pytest.mark.parametrize("left", ["{stem}.pcapng", "{stem}.pcapng.json", "{stem}_00001_20261130021503.pcapng"])
def test_a_name_of_which_anything_is_left_is_not_used_again(tmp_path: Path, left: str) -> None:
    path = str(tmp_path / "web.pcapng")
    first = own_name(path, AT)
    stem = Path(first).name.removesuffix(".pcapng")
    (tmp_path / left.format(stem=stem)).touch()
    second = own_name(path, AT)
    assert Path(second).name == f"{stem}-2.pcapng"
    Path(second).touch()
    assert Path(own_name(path, AT)).name == f"{stem}-3.pcapng"


def test_two_outputs_of_one_request_are_two_files(tmp_path: Path) -> None:
    for number in range(2):
        sink = open_sink(str(tmp_path / "web.pcapng"), Storage(unique=True))
        sink.write(f"content {number}".encode())
        sink.close()
    assert sorted(file.read_text() for file in tmp_path.iterdir()) == ["content 0", "content 1"]
