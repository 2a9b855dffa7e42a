"""The Python API: a frozen spec, a plan, a capture that is a context manager, counters and a summary as values."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from capture import Account, Capture, CaptureSpec, Direction, Summary, describe, errors, open_sink, plan_capture
from capture.benchmark.veth_pair import VethPair
from testbed.patience import PATIENCE
from testbed.tool import assert_adds_up, check_with_readers
from tests.e2e.veth_load import receive, transmit

ROOT = Path(__file__).parents[2]


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


def spec_of(link: VethPair) -> CaptureSpec:
    return CaptureSpec(interfaces=("vb",), netns=link.netns, buffer_bytes=8 << 20)


def summary_of(capture: Capture) -> Summary:
    assert capture.summary is not None
    return capture.summary


def example(*words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "examples/capture_api.py"), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_example_runs_and_prints_its_account(link: VethPair, tmp_path: Path) -> None:
    file = tmp_path / "f.pcapng"
    options = ["--netns", link.netns, "--server", "10.0.0.2:2000", "--seconds", f"{PATIENCE}", "--count", "1536"]
    with example("vb", str(file), *options) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == "vb: 0 seen, 0 forward, 0 reverse\n"  # it captures
            receive(link, 1024)
            transmit(link, 512)
            said, told = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0, told
    plan, end = json.JSONDecoder().raw_decode(said)
    assert plan["interfaces"][0]["name"] == "vb"
    assert "dst host 10.0.0.2" in plan["filter"]
    assert "1536 seen = 0 unmatched + 1536 matched" in said[end:]
    assert "1536 written, 0 lost; count reached" in said[end:]
    check_with_readers(file, 1536)


def test_the_example_reports_an_error_in_one_line(tmp_path: Path) -> None:
    with example("nosuch0", str(tmp_path / "f.pcapng")) as process:
        said, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == errors.TargetError.exit_code
    assert said == ""
    assert told.startswith("capture_api: interface nosuch0 does not exist")
    assert told.count("\n") == 1


def test_spec_and_plan_and_counters_cannot_be_changed(link: VethPair) -> None:
    spec = spec_of(link)
    plan = plan_capture(spec)
    for value, field in ((spec, "snaplen"), (plan, "hook"), (plan.interfaces[0], "name"), (Account(), "seen")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, None)
    assert plan.spec == spec
    assert plan_capture(spec_of(link)) == plan
    assert replace(spec, direction=Direction.FORWARD) != spec
    assert (
        json.loads(json.dumps(describe(plan)))["rings"]["bytes_each"] == 4 << 20 >> (len(plan.cpus) - 1).bit_length()
    )


def test_planning_loads_nothing(link: VethPair) -> None:
    before = os.listdir("/proc/self/fd")
    plan_capture(spec_of(link))
    assert os.listdir("/proc/self/fd") == before


def test_a_capture_counts_while_it_runs_and_sums_up_at_its_end(link: VethPair, tmp_path: Path) -> None:
    snapshots: list[Account] = []

    def tick(capture: Capture) -> None:
        (account,) = capture.accounts()
        snapshots.append(account)
        if len(snapshots) == 1:
            receive(link, 1024)
        elif account.seen == account.both.written == 1024:
            capture.stop("seen enough")

    with Capture(plan_capture(spec_of(link)), open_sink(str(tmp_path / "f.pcapng"))) as capture:
        assert capture.summary is None
        capture.run(tick, interval=0.05)
    assert (snapshots[0].seen, snapshots[-1].seen) == (0, 1024)
    assert snapshots[-1] == summary_of(capture).total
    assert summary_of(capture).end_reason == "seen enough"
    assert_adds_up(summary_of(capture).as_json()["account"])
    check_with_readers(tmp_path / "f.pcapng", 1024)


def test_another_thread_stops_it(link: VethPair, tmp_path: Path) -> None:
    with Capture(plan_capture(spec_of(link)), open_sink(str(tmp_path / "f.pcapng"))) as capture:
        timer = threading.Timer(0.3, capture.stop, ["enough"])
        timer.start()
        begin = time.monotonic()
        capture.run()
        assert time.monotonic() - begin < PATIENCE
        timer.join()
    assert summary_of(capture).end_reason == "enough"


def test_stopping_twice_or_too_late_changes_nothing(link: VethPair, tmp_path: Path) -> None:
    with Capture(plan_capture(spec_of(link)), open_sink(str(tmp_path / "f.pcapng"))) as capture:
        capture.stop("first")
        capture.stop("second")
        capture.run()
    capture.stop("third")
    assert summary_of(capture).end_reason == "first"
    with Capture(plan_capture(spec_of(link)), open_sink(str(tmp_path / "g.pcapng"))) as capture:
        pass
    capture.stop("it is over")
    assert summary_of(capture).end_reason == "stopped"


def test_an_exception_leaves_a_complete_file_that_says_so(link: VethPair, tmp_path: Path) -> None:
    file = tmp_path / "f.pcapng"
    capture = Capture(plan_capture(spec_of(link)), open_sink(str(file)))

    def fail() -> None:
        with capture:
            receive(link, 1024)
            _ = 1 // 0

    with pytest.raises(ZeroDivisionError):
        fail()
    summary = summary_of(capture)
    assert summary.end_reason == "ended by ZeroDivisionError"
    assert summary.complete
    assert summary.total.both.written == 1024
    check_with_readers(file, 1024)


def test_one_process_may_capture_again_and_again(link: VethPair, tmp_path: Path) -> None:
    for number in range(3):
        file = tmp_path / f"{number}.pcapng"
        with Capture(plan_capture(spec_of(link)), open_sink(str(file))) as capture:
            transmit(link, 10)
        assert summary_of(capture).total.both.written == 10


def test_a_capture_that_cannot_start_raises_an_error_of_the_tree_and_keeps_nothing(tmp_path: Path) -> None:
    with VethPair() as link:
        plan = plan_capture(spec_of(link))
        subprocess.run(["ip", "-n", link.netns, "link", "del", "vb"], check=True)
        capture = Capture(plan, open_sink(str(tmp_path / "f.pcapng")))
        with pytest.raises(errors.TargetError, match="interface vb was deleted before the capture began"):
            capture.__enter__()
