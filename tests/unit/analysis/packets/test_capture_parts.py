"""Words of a command line -> files, by capture; names that say so, and times where names do not."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from capture.analysis.packets.capture_parts import captures_of, completeness_of, files_of, name_of
from capture.errors import TargetError
from testbed import packets
from testbed.foreign_blocks import enhanced, interface, section


def file_at(path: Path, *seconds: int) -> str:
    """Write packets at these times."""
    frame = packets.arp()
    blocks = b"".join(enhanced("<", frame, 1_000_000 * second) for second in seconds)
    path.write_bytes(section("<") + interface("<") + blocks)
    return str(path)


GROUPS: dict[str, tuple[dict[str, Sequence[int]], list[str]]] = {
    # files with the times of their packets, and the captures
    "dumpcap's names, whatever their times": (
        {
            "a_00002_20260101000100.pcapng": [5, 9],
            "a_00001_20260101000000.pcapng": [1, 6],
            "b_00001_20260101000000.pcapng": [1, 2],
        },
        ["a_00001_20260101000000.pcapng a_00002_20260101000100.pcapng", "b_00001_20260101000000.pcapng"],
    ),
    "numbers start again at 0": (
        {"a_00000_20260101000001.pcapng": [2], "a_99999_20260101000000.pcapng": [1]},
        ["a_99999_20260101000000.pcapng a_00000_20260101000001.pcapng"],
    ),
    "tcpdump's names": (
        {"a.pcap10": [30, 31], "a.pcap9": [20, 30], "a.pcap": [1, 20]},
        ["a.pcap a.pcap9 a.pcap10"],
    ),
    "dates": ({"2026-01-02.pcap": [90, 99], "2026-01-01.pcap": [1, 80]}, ["2026-01-01.pcap 2026-01-02.pcap"]),
    "two nodes at the same time": ({"node1.pcap": [1, 9], "node2.pcap": [5, 12]}, ["node1.pcap", "node2.pcap"]),
    "other names": ({"monday.pcap": [1], "tuesday.pcap": [2]}, ["monday.pcap", "tuesday.pcap"]),
    "a part without packets": ({"a1.pcap": [], "a0.pcap": [1]}, ["a0.pcap a1.pcap"]),
}


@pytest.mark.parametrize("case", GROUPS)
def test_files_of_one_capture_are_found_and_put_in_order(case: str, tmp_path: Path) -> None:
    files, captures = GROUPS[case]
    written = [file_at(tmp_path / name, *times) for name, times in files.items()]
    found = captures_of(written)
    assert sorted(" ".join(Path(part).name for part in parts) for parts in found) == sorted(captures)
    first = [min(written.index(part) for part in parts) for parts in found]
    assert first == sorted(first)


def test_a_folder_stands_for_its_capture_files_and_a_pattern_for_those_that_match(tmp_path: Path) -> None:
    for name in ("b.pcapng", "a.pcap", "a.pcap1", "c.pcapng.zst", "c.pcapng.json", "notes.txt", "d.cap.gz"):
        file_at(tmp_path / name, 1)
    (tmp_path / "sub.pcap").mkdir()
    names = [Path(file).name for file in files_of([str(tmp_path)])]
    assert names == ["a.pcap", "a.pcap1", "b.pcapng", "c.pcapng.zst", "d.cap.gz"]
    assert [Path(file).name for file in files_of([str(tmp_path / "[bc].*")])] == ["b.pcapng", "c.pcapng.zst"]
    twice = [str(tmp_path / "a.pcap"), str(tmp_path / "a*")]
    assert [Path(file).name for file in files_of(twice)] == ["a.pcap", "a.pcap1"]
    assert files_of(["-", "not there"]) == ["-", "not there"]


@pytest.mark.parametrize("suffix", [".pcapng", ".pcapng.zst", ".pcap", ""])
def test_the_name_that_a_set_was_written_by_stands_for_all_of_it(suffix: str, tmp_path: Path) -> None:
    ours = [f"web_{end}{suffix}" for end in ("00001_20260101000000", "00002_20260101000100")]
    others = ["web_00001_20260101000000.pcapngs", "webs_00001_20260101000000.pcapng", f"web{suffix}.json", "web_1"]
    for name in (*ours, *others):
        (tmp_path / name).touch()
    assert [Path(file).name for file in files_of([str(tmp_path / f"web{suffix}")])] == ours
    (tmp_path / f"web{suffix}").touch()
    assert files_of([str(tmp_path / f"web{suffix}")]) == [str(tmp_path / f"web{suffix}")]


@pytest.mark.parametrize("word", ["", "*.pcap"])
def test_a_folder_or_pattern_without_files_is_an_error(word: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"no capture files|no file matches"):
        files_of([str(tmp_path / word)])


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("d/a.pcap",), "d/a.pcap"),
        (("d/a.pcap1", "d/a.pcap2"), "d/a.pcap*"),
        (("d/a1.pcap", "d/a12.pcap"), "d/a1*.pcap"),
        (("d/a_00001_20260101000000.pcapng.zst", "d/a_00002_20260101000100.pcapng.zst"), "d/a_*.pcapng.zst"),
    ],
)
def test_the_name_of_all_parts_is_a_pattern_that_matches_them(parts: tuple[str, ...], name: str) -> None:
    assert name_of(parts) == name
    assert all(Path(part).match(Path(name).name) for part in parts)


SUMMARY = """{{"account": {{"lost": 3, "sampled_out": 0, "over_limit": 1}}, "spec": {{"direction": "both"}},
"files": [{{"path": "x/a_00001_20260101000000.pcapng"}}, {{"path": "x/{second}"}}]}}"""


@pytest.mark.parametrize(
    ("second", "lost"), [("a_00002_20260101000100.pcapng", 3), ("a_00003_20260101000200.pcapng", 0)]
)
def test_a_summary_of_a_set_counts_if_it_is_about_these_files(second: str, lost: int, tmp_path: Path) -> None:
    names = ("a_00001_20260101000000.pcapng", "a_00002_20260101000100.pcapng")
    parts = tuple(file_at(tmp_path / name, 1) for name in names)
    (tmp_path / "a.pcapng.json").write_text(SUMMARY.format(second=second))
    known = completeness_of(parts)
    assert (known.known, known.lost) == (bool(lost), lost)
