"""Killed, a capture leaves nothing but what the next start clears; and it spares what is not ours."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from capture.benchmark.veth_pair import VethPair
from testbed.tool import CaptureProcess, assert_adds_up, read_pcapng
from testbed.two_pods import run
from tests.e2e.kernel_objects import (
    TC_ACT_OK,
    TC_ACT_SHOT,
    TCX_NEXT,
    Stranger,
    alive,
    held_by,
    left_of,
    run_time_statistics,
)
from tests.e2e.veth_load import BothWays, receive, transmit

SIDES = ("ingress", "egress")


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


def filters(link: VethPair, name: str = "") -> list[str]:
    """Return tc's lines on the bpf filters of vb with this name, both sides."""
    shown = [run("tc", "-n", link.netns, "filter", "show", "dev", "vb", side) for side in SIDES]
    return [line for text in shown for line in text.splitlines() if "handle" in line and name in line]


def has_clsact(link: VethPair) -> bool:
    return "clsact" in run("tc", "-n", link.netns, "qdisc", "show", "dev", "vb")


def kill_under_load(link: VethPair, file: Path, *options: str) -> set[tuple[str, int]]:
    """Return the kernel objects of a capture that was killed while packets came from all sides."""
    with CaptureProcess(file, "-i", "vb", "--netns", link.netns, *options, stop=False) as capture, BothWays(link):
        held = held_by(capture.process.pid)
        assert left_of(held, seconds=0) == held
        time.sleep(0.5)
        capture.process.kill()
        capture.process.wait()
    assert {kind for kind, _ in held} >= {"prog_id", "map_id"}
    return held


def test_a_capture_killed_on_tcx_leaves_nothing(link: VethPair, tmp_path: Path) -> None:
    held = kill_under_load(link, tmp_path / "f.pcapng", "--hook", "tcx")
    assert len([kind for kind, _ in held if kind == "link_id"]) == 2
    assert left_of(held) == set()
    assert filters(link) == []
    assert not has_clsact(link)


@pytest.mark.parametrize("next_hook", ["clsact", "tcx"])
@pytest.mark.parametrize("theirs", [False, True], ids=["qdisc of ours", "qdisc that was there"])
def test_the_next_start_removes_the_filters_of_a_capture_killed_on_clsact(
    link: VethPair, tmp_path: Path, theirs: bool, next_hook: str
) -> None:
    if theirs:
        run("tc", "-n", link.netns, "qdisc", "add", "dev", "vb", "clsact")
    held = kill_under_load(link, tmp_path / "killed.pcapng", "--hook", "clsact")
    assert len(filters(link, "bicap/")) == 2
    with CaptureProcess(tmp_path / "next.pcapng", "-i", "vb", "--netns", link.netns, "--hook", next_hook) as capture:
        assert len(filters(link, "bicap/")) == (2 if next_hook == "clsact" else 0)
        receive(link, 1024)
    assert capture.summary["account"]["written"] == 1024
    assert filters(link) == []
    assert has_clsact(link) == theirs
    assert left_of(held) == set()


def test_the_filters_of_a_running_capture_are_not_removed(link: VethPair, tmp_path: Path) -> None:
    options = ["-i", "vb", "--netns", link.netns, "--hook", "clsact"]
    with CaptureProcess(tmp_path / "first.pcapng", *options) as first:
        mine = filters(link, f"/{first.process.pid}/")
        with CaptureProcess(tmp_path / "second.pcapng", *options):
            assert len(mine) == 2
            assert filters(link, f"/{first.process.pid}/") == mine


@pytest.fixture
def strangers(link: VethPair, request: pytest.FixtureRequest) -> Iterator[list[Stranger]]:
    """Filters of another project on both sides of vb."""
    run("tc", "-n", link.netns, "qdisc", "add", "dev", "vb", "clsact")
    programs = [Stranger(request.param) for _ in SIDES]
    for program, side in zip(programs, SIDES, strict=True):
        program.filter_on(link.namespace, link.vb, side)
    with run_time_statistics():
        yield programs
    for program in programs:
        program.close()


VERDICTS = {"accepts": TC_ACT_OK, "drops": TC_ACT_SHOT, "goes on": TCX_NEXT}


@pytest.mark.parametrize("hook", ["tcx", "clsact"])
@pytest.mark.parametrize("strangers", VERDICTS.values(), ids=VERDICTS, indirect=True)
def test_anothers_filter_is_untouched_and_hides_nothing(
    link: VethPair, strangers: list[Stranger], tmp_path: Path, hook: str
) -> None:
    def runs_with_traffic() -> list[int]:
        before = [program.runs for program in strangers]
        receive(link, 1024)
        transmit(link, 512)
        return [program.runs - count for program, count in zip(strangers, before, strict=True)]

    options = ["-i", "vb", "--netns", link.netns, "--hook", hook]
    shown = filters(link)
    assert len(shown) == 2
    assert runs_with_traffic() == [1024, 512]
    with CaptureProcess(tmp_path / "f.pcapng", *options) as capture:
        assert filters(link, "stranger") == shown
        assert runs_with_traffic() == [1024, 512]
    assert filters(link) == shown
    assert runs_with_traffic() == [1024, 512]
    view = capture.summary["view"]
    assert (view["inbound"]["written"], view["outbound"]["written"]) == (1024, 512)

    kill_under_load(link, tmp_path / "killed.pcapng", "--hook", hook)
    assert filters(link, "stranger") == shown
    assert runs_with_traffic() == [1024, 512]
    with CaptureProcess(tmp_path / "next.pcapng", *options):
        pass
    assert filters(link) == shown
    assert has_clsact(link)


@pytest.mark.parametrize("hook", ["tcx", "clsact"])
def test_anothers_tcx_link_is_untouched(link: VethPair, tmp_path: Path, hook: str) -> None:
    stranger = Stranger(TCX_NEXT)
    try:
        number = stranger.link_on(link.namespace, link.vb, "ingress")
        with run_time_statistics():
            with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, "--hook", hook) as capture:
                receive(link, 1024)
            assert stranger.runs == 1024
            kill_under_load(link, tmp_path / "killed.pcapng", "--hook", hook)
            runs = stranger.runs
            receive(link, 1024)
            assert stranger.runs - runs == 1024
        assert number in alive("link_id")
        assert capture.summary["account"]["written"] == 1024
    finally:
        stranger.close()


HOOKS = [("tcx", "tcx"), ("clsact", "clsact"), ("tcx", "clsact"), ("clsact", "tcx")]


@pytest.mark.parametrize("hooks", HOOKS, ids=" and ".join)
@pytest.mark.parametrize("first_to_end", [0, 1], ids=["the older ends first", "the younger ends first"])
def test_two_captures_of_one_interface_both_see_everything(
    link: VethPair, tmp_path: Path, hooks: tuple[str, str], first_to_end: int
) -> None:
    options = ["-i", "vb", "--netns", link.netns]
    with ExitStack() as running:
        captures = [
            running.enter_context(CaptureProcess(tmp_path / f"{i}.pcapng", *options, "--hook", hook))
            for i, hook in enumerate(hooks)
        ]
        held = set().union(*(held_by(capture.process.pid) for capture in captures))
        receive(link, 1024)
        transmit(link, 1024)
        captures[first_to_end].process.send_signal(signal.SIGINT)
        captures[first_to_end].process.wait(30)
        receive(link, 512)
    for number, capture in enumerate(captures):
        expected = 2048 if number == first_to_end else 2560
        assert capture.process.returncode == 0
        assert_adds_up(capture.summary["account"])
        assert capture.summary["account"]["written"] == expected
        assert len(read_pcapng(capture.file).data) == expected
    assert filters(link) == []
    assert not has_clsact(link)
    assert left_of(held) == set()
