"""The files of a ring and a trigger -> those that an incident has, their names there, and what earlier runs left."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from capture.analysis.packets.capture_parts import captures_of, files_of, summary_of_set
from capture.live.ring_files import RingFile, files_since, left_files, link_path
from capture.run.file_start import FileStart

FULL, GROWING = 60, 100
"""Bytes of a complete file, and the most of the one that grows."""


def ring(*began: int) -> list[RingFile]:
    """Files that began at these times."""
    none = {"offset_ns": 0, "accounts": [], "events": 0, "late": 0, "ordered": False}
    starts = [FileStart(path=str(at), began_ns=at, **none) for at in began]
    return [RingFile(start, GROWING if start is starts[-1] else FULL) for start in starts]


CHOSEN = [
    # beginnings of files, time from which on packets are wanted, room, beginnings of the files that an incident has
    ((10, 20, 30), 25, 1000, [20, 30]),
    ((10, 20, 30), 20, 1000, [20, 30]),
    ((10, 20, 30), 35, 1000, [30]),
    ((10, 20, 30), 5, 1000, [10, 20, 30]),
    ((10, 20, 30), 5, 219, [20, 30]),
    ((10, 20, 30), 5, 220, [10, 20, 30]),
    ((10, 20, 30), 5, 50, [30]),
    ((10,), 99, 1000, [10]),
]


@pytest.mark.parametrize(("began", "since", "room", "chosen"), CHOSEN)
def test_an_incident_has_the_youngest_files_that_meet_its_time_and_fit_its_bound(
    began: Sequence[int], since: int, room: int, chosen: list[int]
) -> None:
    assert [file.start.began_ns for file in files_since(ring(*began), since, room)] == chosen


def test_links_of_an_incident_are_one_capture_whose_json_is_that_of_the_incident(tmp_path: Path) -> None:
    incident = str(tmp_path / "incident-20261130T190427.123Z-dns-failed.pcapng")
    ring_names = ["/d/ring_99999_20261130190427.pcapng", "/d/ring_00000_20261130190501.pcapng"]
    links = [link_path(incident, name) for name in ring_names]
    assert [Path(link).name for link in links] == [
        "incident-20261130T190427.123Z-dns-failed_99999_20261130190427.pcapng",
        "incident-20261130T190427.123Z-dns-failed_00000_20261130190501.pcapng",
    ]
    for link in links:
        Path(link).touch()
    other = tmp_path / "incident-20261130T190427.123Z-dns-failed-2_00000_20261130190501.pcapng"
    other.touch()
    assert captures_of(files_of([str(tmp_path)])) == [(str(other),), tuple(links)]
    assert summary_of_set(tuple(links)) == f"{incident}.json"
    assert captures_of(files_of([incident])) == [tuple(links)]


@pytest.mark.parametrize(
    ("output", "link"),
    [
        ("ring_00001_20261130190427.pcap", "i_00001_20261130190427.pcapng"),
        ("ring_00001_20261130190427", "i_00001_20261130190427.pcapng"),
        ("a_00001_20261130190427_00002_20261130190428.x.pcapng", "i_00002_20261130190428.pcapng"),
    ],
)
def test_a_link_is_called_as_pcapng_whatever_the_ring_is_called(output: str, link: str) -> None:
    assert link_path("i.pcapng", output) == link


def test_files_of_an_earlier_run_are_found_oldest_first_and_no_others(tmp_path: Path) -> None:
    first = "ring_00001_20261130190500.pcapng"
    left = [f"ring_{end}.pcapng" for end in ("00009_20261130180000", "00010_20261130180000", "00001_20261130183000")]
    others = ["ring_00001_20261130180000.pcap", "rings_00001_20261130180000.pcapng", "ring.pcapng.json", "notes"]
    for name in (first, *left, *others):
        (tmp_path / name).touch()
    (tmp_path / "ring_00003_20261130180000.pcapng").mkdir()
    (tmp_path / "ring_00004_20261130180000.pcapng").symlink_to(tmp_path / "notes")
    assert [Path(file.path).name for file in left_files(str(tmp_path / first))] == left
