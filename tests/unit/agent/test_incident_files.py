"""Incidents in a folder -> what a status, a list of files and an upload have of them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from capture.agent.file_list import file_answer, listed_files
from capture.agent.folder import CaptureFolder
from capture.agent.incident_files import IncidentFiles, entry_of
from capture.agent.state import CaptureRecord, PartRecord
from capture.cluster.recorder_objects import TEXT_MOST, IncidentEntry
from capture.retrieval.orders import Order

FIRED = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
FIRED_NS = round(FIRED.timestamp()) * 10**9
SUMMARY: dict[str, Any] = {
    "rule": "retransmitted>=5", "reason": "", "fired_ns": FIRED_NS, "value": 7, "packets": 40, "complete": True,
    "session": "tcp 10.0.0.1:4000 > 10.0.0.2:80", "began_ns": FIRED_NS - 10**9, "ended_ns": FIRED_NS + 10**9,
}  # fmt: skip
FIRST, SECOND = "incident-20261130T120000.000Z-rst-0.pcapng", "incident-20261130T130000.000Z-other-node.pcapng"


@pytest.fixture
def folder(tmp_path: Path) -> CaptureFolder:
    found = CaptureFolder(tmp_path / "uid")
    found.save(CaptureRecord("uid", parts=[PartRecord("c-n1.pcapng", began=FIRED, recorder=True)]))
    return found


def keep(folder: CaptureFolder, name: str, content: bytes = b"packets", **more: Any) -> None:
    (folder.path / name).write_bytes(content)
    (folder.path / f"{name}.json").write_text(json.dumps(SUMMARY | more))


def test_an_entry_says_what_fired_and_what_there_is(folder: CaptureFolder) -> None:
    keep(folder, FIRST)
    files = IncidentFiles(folder.path)
    files.look()
    assert files.entries == [
        IncidentEntry(
            FIRST, "", "retransmitted>=5", "", FIRED, "7", "tcp 10.0.0.1:4000 > 10.0.0.2:80", 40, 7, complete=True
        )
    ]


@pytest.mark.parametrize(
    "summary",
    [{}, {"fired_ns": "soon", "value": None, "packets": None}, {"rule": "x" * 9999, "reason": "a\nb"}],
    ids=str,
)
def test_any_json_gives_an_entry_of_bounded_size(summary: dict[str, Any]) -> None:
    entry = entry_of(FIRST, 5, summary)
    assert (entry.name, entry.bytes, entry.complete) == (FIRST, 5, False)
    assert max(len(entry.rule), len(entry.reason)) <= TEXT_MOST
    assert "\n" not in entry.reason


def test_what_is_still_written_is_no_finished_file(folder: CaptureFolder) -> None:
    keep(folder, FIRST)
    keep(folder, SECOND, complete=False)
    (folder.path / "incident.pcapng").touch()
    (folder.path / "trigger.socket").touch()
    files = IncidentFiles(folder.path)
    files.look()
    assert files.finished(runs=True) == [FIRST, f"{FIRST}.json"]
    assert files.finished(runs=False) == [FIRST, f"{FIRST}.json", SECOND, f"{SECOND}.json"]
    keep(folder, SECOND)
    files.look()
    assert SECOND in files.finished(runs=True)


def test_what_was_removed_is_forgotten(folder: CaptureFolder) -> None:
    keep(folder, FIRST)
    files = IncidentFiles(folder.path)
    files.look()
    (folder.path / FIRST).unlink()
    files.look()
    assert files.entries == files.finished(runs=True) == []


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    files = IncidentFiles(tmp_path / "absent")
    files.look()
    assert files.entries == []


def test_incidents_are_fetched_like_files(folder: CaptureFolder) -> None:
    keep(folder, FIRST)
    keep(folder, SECOND, complete=False)
    record = folder.load()
    assert record is not None
    record.digests[FIRST] = "abc"
    folder.save(record)
    listed = {file.name: file for file in listed_files(folder) or ()}
    assert listed.keys() == {FIRST, f"{FIRST}.json", SECOND, f"{SECOND}.json"}
    assert (listed[FIRST].sha256, listed[FIRST].complete, listed[FIRST].bytes) == ("abc", True, 7)
    assert not listed[SECOND].complete
    assert not listed[f"{SECOND}.json"].complete
    _, data = file_answer(folder, Order("read", "uid", FIRST))
    assert data == b"packets"
    head, _ = file_answer(folder, Order("read", "uid", "state.json"))
    assert head.status == 404


def test_an_unfinished_incident_of_a_killed_recorder_is_cut_and_can_be_fetched(folder: CaptureFolder) -> None:
    section = bytes.fromhex("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000")
    keep(folder, FIRST, section + b"\6\0\0\0half a block", complete=False)
    record = folder.load()
    assert record is not None
    record.parts = [folder.complete(record.parts[0], None, FIRED, "Killed")]
    folder.save(record)
    assert (folder.path / FIRST).read_bytes() == section
    assert record.parts[0].ended == FIRED
    assert all(file.complete for file in listed_files(folder) or ())
