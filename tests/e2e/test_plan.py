"""`bicap plan` says beforehand what a capture turns out to write."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture.benchmark.senders import QueueSender
from capture.benchmark.veth_pair import VethPair
from testbed import packets
from testbed.tool import CaptureProcess, bicap, read_pcapng
from tests.e2e.veth_load import BothWays

SIZE = 800


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


def planned(link: VethPair, *words: str) -> dict[str, object]:
    done = bicap("plan", "-i", "vb", "--netns", link.netns, "--json", *words)
    assert done.code == 0, done.stderr
    estimate: dict[str, object] = json.loads(done.stdout)["estimate"]
    return estimate


def test_a_look_at_the_counters_finds_both_directions(link: VethPair) -> None:
    before = link.counters("vb")
    with BothWays(link):
        began = time.monotonic()
        estimate = planned(link, "--look", "1s")
        seconds = time.monotonic() - began
    received, sent = (after - then for after, then in zip(link.counters("vb"), before, strict=True))
    forward, reverse = (estimate[way]["packets_per_second"] for way in ("forward", "reverse"))  # type: ignore[index]
    # Forward is what vb sends. What passed outside of the look is in the counters here, and not in the look.
    assert 0 < forward <= sent
    assert 0 < reverse <= received
    assert forward > sent / seconds / 3
    assert reverse > received / seconds / 3
    assert estimate["both"]["packets_per_second"] == pytest.approx(forward + reverse)  # type: ignore[index]


@pytest.mark.parametrize("options", [[], ["-s", "100"], ["--headers-only"]], ids=" ".join)
def test_bytes_in_the_file_are_as_planned(link: VethPair, tmp_path: Path, options: list[str]) -> None:
    both = planned(link, "--assume", f"1kpps,{SIZE}B", *options)["both"]
    frame = packets.tcp("10.0.0.1", 1000, "10.0.0.2", 80, payload=bytes(SIZE - 54))
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, *options) as capture:
        sender = QueueSender(link.vb, frame)
        link.namespace.run(lambda: sender.send(2000))
        sender.close()
    kept = len(read_pcapng(capture.file).data[0])
    blocks = 28 + kept + -kept % 4 + 16
    assert both["packets_per_second"] == 1000  # type: ignore[index]
    # Headers are assumed to have TCP options, which these have not.
    slack = 12 if options == ["--headers-only"] else 0
    assert 0 <= both["file_bytes_per_second"] / 1000 - blocks <= slack  # type: ignore[index]


def test_a_dry_run_prints_the_same_estimate_and_loads_nothing(link: VethPair, tmp_path: Path) -> None:
    words = ["-i", "vb", "--netns", link.netns, "--assume", "100kpps,800B", "-w", str(tmp_path / "f.pcapng")]
    plan, dry = bicap("plan", *words), bicap("capture", "--dry-run", *words)
    assert plan.code == dry.code == 0
    # Others write to this disk meanwhile.
    room = r"has \S+ \S+ free(; .*; room for \S+|: enough for \S+)"
    planned, would_be = (re.sub(room, "has room", said.stdout) for said in (plan, dry))
    assert "has room" in planned
    assert planned == would_be
    assert "both          100,000" in plan.stdout
    assert not list(tmp_path.iterdir())
