"""What a capture tells at its end, to a person and to a program."""

import json
from dataclasses import replace

import pytest

from capture.account import Account, DirectionAccount, Losses
from capture.plan import Interface, make_plan
from capture.spec import CaptureSpec, Hook
from capture.stream.clock import ClockStep
from capture.summary import SCHEMA, Summary

S = 10**9
FOUND = [Interface("veth1", 7, 4026531840, bytes(6), 1500, pod_side=True), Interface("eth0", 2, 4026531840)]
PLAN = make_plan(CaptureSpec(interfaces=("veth1", "eth0")), FOUND, Hook.TCX, [0, 1], batching=True)
FORWARD = DirectionAccount(matched=2000, written=1500, written_bytes=3 << 20, over_limit=400)
REVERSE = DirectionAccount(matched=1000, written=1000, written_bytes=2048)
SUMMARY = Summary(
    plan=PLAN,
    version="1.2.3",
    output="/tmp/f.pcapng",
    output_bytes=5 << 20,
    complete=True,
    end_reason="ended by SIGINT",
    started_ns=1_700_000_000 * S,
    ended_ns=1_700_000_012 * S,
    accounts=[
        Account(seen=3500, seen_bytes=1 << 23, unmatched=500, forward=FORWARD, reverse=REVERSE),
        Account(seen=7, seen_bytes=700, unmatched=7),
    ],
    losses=Losses(ring_full=80, writing=20),
    inbound=DirectionAccount(written=1000, written_bytes=2048),
    outbound=DirectionAccount(written=1500, written_bytes=3 << 20),
    clock="synchronised, error at most 5 µs",
    clock_steps=[],
    late=0,
    late_most_ns=0,
    process_cpu_ns=250_000,
    kernel_ns_per_packet=None,
)

REPORT = """\
2,500 packets written to /tmp/f.pcapng (5.0 MiB), 12.0 s: ended by SIGINT
  forward: 1,500 packets, 3.0 MiB
  reverse: 1,000 packets, 2.0 KiB
3,507 seen = 507 unmatched + 3,000 matched
3,000 matched = 2,500 written + 400 over the limit + 100 lost
lost: 80 ring full (raise --buffer), 20 not written, 0 other
"""


def test_the_report_of_a_person() -> None:
    assert "\n".join(SUMMARY.lines()) + "\n" == REPORT


LINES = [
    # what happened, what is different then, the line that says so
    ("packets were late", {"late": 3, "late_most_ns": 900}, "3 packets carry the time of the one before"),
    ("the clock was set", {"clock_steps": [ClockStep(5, 3 * S, True)]}, "the wall clock was set by 3.0 s; followed"),
    ("the programs were timed", {"kernel_ns_per_packet": 81.6}, "kernel cost 82 ns per packet seen"),
    ("it went to standard output", {"output": "-"}, "2,500 packets written to standard output (5.0 MiB)"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "changed", "line"), LINES, ids=[case[0] for case in LINES])
def test_a_line_appears_only_when_there_is_something_to_say(what: str, changed: dict[str, object], line: str) -> None:
    assert not any(said.startswith(line) for said in SUMMARY.lines())
    assert any(said.startswith(line) for said in replace(SUMMARY, **changed).lines())  # type: ignore[arg-type]


def test_nothing_lost_says_so_in_the_sum_alone() -> None:
    quiet = replace(SUMMARY, accounts=[Account(), Account()], losses=Losses())
    assert "0 matched = 0 written + 0 over the limit + 0 lost" in quiet.lines()
    assert not any(line.startswith("lost:") for line in quiet.lines())


def test_json_is_plain_and_holds_the_same_numbers() -> None:
    plain = json.loads(json.dumps(SUMMARY.as_json()))
    assert (plain["schema"], plain["version"]) == (SCHEMA, "1.2.3")
    assert (plain["file"], plain["file_bytes"], plain["complete"]) == ("/tmp/f.pcapng", 5 << 20, True)
    assert plain["end_reason"] == "ended by SIGINT"
    assert plain["ended_ns"] - plain["started_ns"] == 12 * S
    account = plain["account"]
    assert (account["seen"], account["unmatched"], account["matched"]) == (3507, 507, 3000)
    assert (account["written"], account["over_limit"], account["lost"]) == (2500, 400, 100)
    assert account["lost_by"] == {"ring_full": 80, "other": 0, "writing": 20}
    assert [(i["id"], i["name"], i["account"]["seen"]) for i in plain["interfaces"]] == [
        (0, "veth1", 3500),
        (1, "eth0", 7),
    ]
    assert plain["view"]["inbound"] == {"written": 1000, "written_bytes": 2048}
    assert plain["view"]["outbound"] == {"written": 1500, "written_bytes": 3 << 20}
    assert plain["cost"] == {"kernel_ns_per_packet": None, "process_cpu_ns": 250_000, "process_ns_per_packet": 100.0}


def test_json_tells_what_the_clock_did() -> None:
    told = replace(SUMMARY, clock_steps=[ClockStep(5, -S, False)], late=2, late_most_ns=70).as_json()["clock"]
    assert told == {
        "state": "synchronised, error at most 5 µs",
        "steps": [{"at_ns": 5, "step_ns": -S, "followed": False}],
        "late_packets": 2,
        "late_most_ns": 70,
    }


def test_json_of_a_capture_without_packets_has_no_cost_per_packet() -> None:
    empty = replace(SUMMARY, accounts=[Account(), Account()], losses=Losses()).as_json()
    assert empty["account"]["written"] == 0
    assert empty["cost"]["process_ns_per_packet"] is None


def test_json_repeats_what_was_asked_and_what_was_planned() -> None:
    plain = SUMMARY.as_json()
    assert plain["spec"]["interfaces"] == ("veth1", "eth0")
    assert plain["spec"]["direction"] == "both"
    assert [i["view"] for i in plain["plan"]["interfaces"]] == ["pod", "interface"]
    assert plain["plan"]["hook"] == "tcx"
