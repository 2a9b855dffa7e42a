"""A trigger and the files of a ring -> links that stay, an end where that was ordered, and the account between."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from capture.analysis.packets.capture_parts import completeness_of, files_of
from capture.errors import SinkError
from capture.live.cause import Cause
from capture.live.incident_folder import IncidentFolder, stored_incidents
from capture.live.linked_incident import LinkedIncident
from capture.live.ring_files import RingFile
from capture.recording import RecordingSpec
from capture.run.file_start import FileStart
from tests.unit.live.running_ring import MIB, WALL, RunningRing, S


@pytest.fixture
def ring(tmp_path: Path) -> RunningRing:
    folder = tmp_path / "incidents"
    folder.mkdir()
    running = RunningRing(tmp_path, RecordingSpec(folder=str(folder), size=4 * MIB, after_ns=2 * S, before_ns=9 * S))
    for at_s, packets in ((1, 0), (5, 10), (9, 20)):
        running.begin_file(at_s, packets)
    return running


def incident_of(ring: RunningRing, files: Sequence[FileStart], cause: Cause) -> LinkedIncident:
    path = IncidentFolder(ring.recording.folder, ring.recording, None).new_path(cause.rule, WALL + cause.at_ns)
    chosen = [RingFile(start, 1000 if start is not files[-1] else MIB) for start in files]
    return LinkedIncident(ring, ring.recording, path, cause, chosen, "", 0)


def test_files_stay_when_the_ring_removes_them_and_the_incident_ends_with_the_file_that_was_ordered(
    ring: RunningRing,
) -> None:
    cause = Cause(rule="syns>=3", at_ns=10 * S, packet_ns=10 * S, file=ring.files[2].path, number=4)
    incident = incident_of(ring, ring.files[1:], cause)
    (stored,) = stored_incidents(ring.recording.folder)
    assert (stored.path, stored.summary["complete"], len(stored.files)) == (incident.path, False, 2)
    incident.file_began(ring.begin_file(11, 7))
    assert incident.end is None
    incident.file_began(ring.begin_file(12, 30, ordered=True))
    incident.file_began(ring.begin_file(13, 1))
    for start in ring.files:
        os.unlink(start.path)
    found = incident.finish()
    (stored,) = stored_incidents(ring.recording.folder)
    assert stored.summary == json.loads(json.dumps(found))
    assert [Path(file).name[-27:-7] for file in stored.files] == [f"{n:05d}_20261130190000" for n in (2, 3, 4)]
    assert [file["path"] for file in found["files"]] == list(stored.files)
    assert stored.size == found["file_bytes"] == 3000
    assert (found["complete"], found["end_reason"]) == (True, "time after the trigger over")
    assert (found["packets"], found["packet"], found["account"]["written"]) == (57, 24, 57)
    assert (found["before_had_ns"], found["after_had_ns"]) == (5 * S, 2 * S)
    assert found["interfaces"][0]["account"]["matched"] == 57
    # What reads captures takes all of it by the name of the incident, and its JSON is the account of the set.
    assert files_of([incident.path]) == list(stored.files)
    assert completeness_of(stored.files).complete


def test_an_incident_ends_before_it_is_larger_than_all_may_be(ring: RunningRing) -> None:
    incident = incident_of(ring, ring.files[2:], Cause(rule="socket", at_ns=10 * S))
    os.truncate(ring.files[2].path, 4 * MIB - 100)
    incident.file_began(ring.begin_file(11, 5))
    assert (incident.end, incident.end_reason) == (ring.files[3], "size reached")
    assert len(files_of([incident.path])) == 1
    assert not incident.prolong(Cause(rule="socket", at_ns=11 * S))


def test_a_file_that_cannot_be_linked_ends_an_incident_and_the_first_one_refuses_it(ring: RunningRing) -> None:
    incident = incident_of(ring, ring.files[1:], Cause(rule="socket", at_ns=10 * S))
    os.unlink(ring.begin_file(11, 5).path)
    incident.file_began(ring.files[-1])
    assert incident.end is ring.files[-1]
    assert "cannot link" in str(incident.end_reason)
    with pytest.raises(SinkError, match="cannot link"):
        incident_of(ring, ring.files[2:], Cause(rule="signal", at_ns=10 * S))
    assert len(stored_incidents(ring.recording.folder)) == 1


def test_bounds_of_the_folder_remove_whole_incidents_whatever_they_consist_of(ring: RunningRing) -> None:
    folder = ring.recording.folder
    for second in (1, 2, 3):
        incident_of(ring, ring.files, Cause(rule="socket", at_ns=second * S))
    single = Path(IncidentFolder(folder, ring.recording, None).new_path("signal", WALL + 4 * S))
    single.write_bytes(bytes(10))
    kept = RecordingSpec(folder=folder, kept=2)
    removed = IncidentFolder(folder, kept, None).make_room(WALL)
    assert len(removed) == 2
    assert [len(one.files) for one in stored_incidents(folder)] == [3, 1]
    assert len(list(Path(folder).iterdir())) == 3 + 1 + 1
