"""The report at the end of a capture, for a person and as JSON."""

import json
from dataclasses import replace

import pytest

from capture.plan import Interface, make_plan, place_of
from capture.run.account import Account, DirectionAccount
from capture.run.roster import Event, Member
from capture.run.summary import SCHEMA, Summary
from capture.sampling.levels import LevelChange, OnPressure
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import Sampling
from capture.sink.protocol import FileRecord
from capture.spec import CaptureSpec, Hook
from capture.stream.clock import ClockStep

S = 10**9
FOUND = [
    place_of(Interface("veth1", 7, 4026531840, bytes(6), 1500, pod_side=True)),
    place_of(Interface("eth0", 2, 4026531840)),
]
PLAN = make_plan(CaptureSpec(interfaces=("veth1", "eth0")), FOUND, Hook.TCX, [0, 1], batching=True)
FORWARD = DirectionAccount(
    matched=2000, written=1500, written_bytes=3 << 20, over_limit=400, lost_ring_full=80, lost_writing=20
)
REVERSE = DirectionAccount(matched=1000, written=1000, written_bytes=2048)
STARTED = 1_700_000_000 * S
SUMMARY = Summary(
    plan=PLAN,
    version="1.2.3",
    output="/tmp/f.pcapng",
    output_bytes=5 << 20,
    files=[FileRecord("/tmp/f.pcapng", 5 << 20, STARTED)],
    files_removed=0,
    complete=True,
    end_reason="ended by SIGINT",
    started_ns=STARTED,
    ended_ns=STARTED + 12 * S,
    members=[Member(PLAN.interfaces[0], 1 * S), Member(PLAN.interfaces[1], 2 * S, 3 * S)],
    accounts=[
        Account(seen=3500, seen_bytes=1 << 23, unmatched=500, forward=FORWARD, reverse=REVERSE),
        Account(seen=7, seen_bytes=700, unmatched=7),
    ],
    inbound=DirectionAccount(written=1000, written_bytes=2048),
    outbound=DirectionAccount(written=1500, written_bytes=3 << 20),
    events=[Event(STARTED + S, "eth0 was deleted")],
    pressure=[],
    clock_offset_ns=STARTED,
    clock="synchronised, error at most 5 µs",
    clock_steps=[],
    late=0,
    late_most_ns=0,
    overflow=(0, 0),
    process_cpu_ns=300_000_000,
    kernel_ns_per_packet=None,
)

REPORT = """\
2,500 packets written to /tmp/f.pcapng (5.0 MiB), 12.0 s: ended by SIGINT
  forward: 1,500 packets, 3.0 MiB
  reverse: 1,000 packets, 2.0 KiB
3,507 seen = 507 unmatched + 3,000 matched
3,000 matched = 2,500 written + 0 sampled out + 400 over the limit + 100 lost
lost: 80 ring full (raise --buffer), 20 not written
process cost 300 ms of CPU (2.5% of one)
"""


def test_the_report_for_a_person() -> None:
    assert "\n".join(SUMMARY.lines()) + "\n" == REPORT


LINES = [
    # event, changed fields, the line about it
    ("packets were late", {"late": 3, "late_most_ns": 900}, "3 packets carry the time of the packet before"),
    ("the clock was set", {"clock_steps": [ClockStep(5, 3 * S, True)]}, "the wall clock was set by 3.0 s; followed"),
    ("the programs were timed", {"kernel_ns_per_packet": 81.6}, "kernel cost 82 ns per packet seen"),
    (
        "many packets were written",
        {"accounts": [replace(Account(), forward=replace(FORWARD, matched=10_000, written=10_000, over_limit=0))]},
        "process cost 300 ms of CPU (2.5% of one), 30,000 ns per packet written",
    ),
    ("it went to standard output", {"output": "-"}, "2,500 packets written to standard output (5.0 MiB)"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "changed", "line"), LINES, ids=[case[0] for case in LINES])
def test_a_line_appears_only_when_its_event_happened(what: str, changed: dict[str, object], line: str) -> None:
    assert not any(text.startswith(line) for text in SUMMARY.lines())
    assert any(text.startswith(line) for text in replace(SUMMARY, **changed).lines())  # type: ignore[arg-type]


def test_without_losses_the_sum_alone_says_so() -> None:
    quiet = replace(SUMMARY, accounts=[Account(), Account()]).lines()
    assert "0 matched = 0 written + 0 sampled out + 0 over the limit + 0 lost" in quiet
    assert not any(line.startswith(("lost", "sampled out", "rings filled")) for line in quiet)
    assert quiet[-1] == "process cost 300 ms of CPU (2.5% of one)"


def test_packets_sampled_out_are_listed_by_sampler() -> None:
    sampled = replace(FORWARD, matched=2111, sampled_by_flow=100, sampled_by_rate=10)
    lines = replace(
        SUMMARY, accounts=[Account(seen=3111, forward=sampled, reverse=replace(REVERSE, sampled_by_rate=1))]
    ).lines()
    assert "3,111 matched = 2,500 written + 111 sampled out + 400 over the limit + 100 lost" in lines
    assert "sampled out: 100 by flow, 11 by rate" in lines


def record(number: int) -> FileRecord:
    return FileRecord(f"/tmp/f_{number:05d}.pcapng", 1 << 20, STARTED + number * S)


WHERE = [
    # files that are left, number of removed ones, the text in the first line
    ([record(1)], 0, "written to /tmp/f_00001.pcapng (5.0 MiB)"),
    ([record(1), record(2)], 0, "written to 2 files, the last /tmp/f_00002.pcapng (5.0 MiB)"),
    ([record(1234)], 1233, "written to 1 file, 1,233 removed, the last /tmp/f_01234.pcapng (5.0 MiB)"),
    ([], 0, "written to /tmp/f.pcapng (5.0 MiB)"),
]


@pytest.mark.parametrize(("files", "removed", "text"), WHERE)
def test_the_report_names_the_files(files: list[FileRecord], removed: int, text: str) -> None:
    summary = replace(SUMMARY, files=files, files_removed=removed)
    assert text in summary.lines()[0]
    plain = json.loads(json.dumps(summary.as_json()))
    assert [(file["path"], file["bytes"], file["began_ns"]) for file in plain["files"]] == [
        (file.path, file.bytes, file.began_ns) for file in files
    ]
    assert plain["files_removed"] == removed


PRESSED = replace(
    SUMMARY,
    plan=make_plan(
        CaptureSpec(
            interfaces=("veth1",),
            sampling=Sampling(samplers=(parse_sampler("flow:1/2"),)),
            on_pressure=(OnPressure.TRUNCATE, OnPressure.SAMPLE),
        ),
        FOUND[:1], Hook.TCX, [0], batching=True,
    ),
    members=SUMMARY.members[:1],
    accounts=[Account(seen=3000, forward=replace(FORWARD, cut=700, cut_bytes=1 << 20), reverse=REVERSE)],
    pressure=[LevelChange(STARTED + after * S, level) for after, level in ((2, 1), (3, 3), (5, 0))],
)  # fmt: skip


def test_measures_under_pressure_are_listed_with_their_times() -> None:
    lines = PRESSED.lines()
    at = lines.index("rings filled: 700 packets without payload (1.0 MiB left out)")
    assert lines[at + 1 : at + 4] == [
        "  after 2.0 s: headers only",
        "  after 3.0 s: headers only and 0.125 of conversations",
        "  after 5.0 s: everything again",
    ]
    assert [(c["at_ns"] - STARTED, c["level"], c["kept"]) for c in PRESSED.as_json()["pressure"]] == [
        (2 * S, 1, "headers only"),
        (3 * S, 3, "headers only and 0.125 of conversations"),
        (5 * S, 0, "everything again"),
    ]


def test_the_terminal_lists_a_few_changes_and_the_json_all() -> None:
    changes = [LevelChange(STARTED + n * S, n % 2) for n in range(1, 20)]
    many = replace(PRESSED, pressure=changes)
    lines = many.lines()
    at = lines.index("rings filled: 700 packets without payload (1.0 MiB left out)")
    assert lines[at + 5].startswith("  after 5.0 s")
    assert lines[at + 6] == "  and 14 more changes, in the JSON summary"
    assert len(many.as_json()["pressure"]) == 19


def test_json_is_plain_and_has_the_same_numbers() -> None:
    plain = json.loads(json.dumps(SUMMARY.as_json()))
    assert (plain["schema"], plain["version"]) == (SCHEMA, "1.2.3")
    assert (plain["file"], plain["file_bytes"], plain["complete"]) == ("/tmp/f.pcapng", 5 << 20, True)
    assert plain["end_reason"] == "ended by SIGINT"
    assert plain["ended_ns"] - plain["started_ns"] == 12 * S
    account = plain["account"]
    assert (account["seen"], account["unmatched"], account["matched"]) == (3507, 507, 3000)
    assert (account["written"], account["sampled_out"], account["over_limit"], account["lost"]) == (2500, 0, 400, 100)
    assert account["lost_by"] == {"ring_full": 80, "other": 0, "writing": 20}
    assert [(i["id"], i["name"], i["account"]["seen"]) for i in plain["interfaces"]] == [
        (0, "veth1", 3500),
        (1, "eth0", 7),
    ]
    assert plain["view"]["inbound"] == {"written": 1000, "written_bytes": 2048}
    assert plain["view"]["outbound"] == {"written": 1500, "written_bytes": 3 << 20}
    assert plain["cost"] == {
        "kernel_ns_per_packet": None,
        "process_cpu_ns": 300_000_000,
        "process_cpu_share": 0.025,
        "process_ns_per_packet": 120_000.0,
    }


def test_json_has_the_steps_of_the_clock() -> None:
    clock = replace(SUMMARY, clock_steps=[ClockStep(5, -S, False)], late=2, late_most_ns=70).as_json()["clock"]
    assert clock == {
        "state": "synchronised, error at most 5 µs",
        "steps": [{"at_ns": 5, "step_ns": -S, "followed": False}],
        "late_packets": 2,
        "late_most_ns": 70,
    }


def test_json_of_a_capture_without_packets_has_no_cost_per_packet() -> None:
    empty = replace(SUMMARY, accounts=[Account(), Account()]).as_json()
    assert empty["account"]["written"] == 0
    assert empty["cost"]["process_ns_per_packet"] is None


def test_json_contains_the_spec_and_the_plan() -> None:
    plain = SUMMARY.as_json()
    assert plain["spec"]["interfaces"] == ("veth1", "eth0")
    assert plain["spec"]["direction"] == "both"
    assert [i["view"] for i in plain["plan"]["interfaces"]] == ["pod", "interface"]
    assert plain["plan"]["hook"] == "tcx"
    spec = PRESSED.as_json()["spec"]
    assert (spec["sample"], spec["on_pressure"]) == (["flow:1/2"], ["truncate", "sample"])
    assert spec["storage"]["file_bytes"] is None
