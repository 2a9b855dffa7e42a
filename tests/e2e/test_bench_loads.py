"""What the loads of the benchmark put on the wire, as a capture of it has it."""

import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from capture import Capture, CaptureSpec, open_sink, plan_capture
from capture.analysis.packets.reading import CaptureFile
from capture.benchmark.load_source import LoadSource
from capture.benchmark.loads import LOADS, BenchLoad
from capture.benchmark.senders import BATCH
from capture.benchmark.tools import Tool, tools
from capture.benchmark.veth_pair import VethPair
from testbed.tool import Packets, read_pcapng

FLOWS = 50
IN, OUT = 1, 2
MIX = replace(LOADS["IMIX, 1000 flows"], flows=FLOWS)
TWO_LINKS = LOADS["64 B, 2 links"]
COUNT = 12 * BATCH
RATE = 1e5
BURSTS = 8 * 4 * BATCH
"""Four bursts on each of two links, at RATE."""


def caught(load: BenchLoad, file: Path, count: int = COUNT) -> Packets:
    """The packets of a load as captured where tools listen, sent at the load's rate if it has one."""
    with VethPair(count=load.pairs) as link, LoadSource(link, load) as source:
        names = tuple(pair.name for pair in link.pairs[: load.links])
        plan = plan_capture(CaptureSpec(interfaces=names, netns=link.netns, buffer_bytes=16 << 20))
        with Capture(plan, open_sink(str(file))):
            if load.rate:
                source.pace(count, load.rate)
            else:
                source.send(count)
    return read_pcapng(file)


def test_a_mix_has_seven_small_and_four_middle_and_one_large_packet_in_both_directions(tmp_path: Path) -> None:
    found = caught(MIX, tmp_path / "f.pcapng")
    assert Counter(zip(found.lengths, found.flags, strict=True)) == {
        (size, flag): COUNT // 24 * share for size, share in ((64, 7), (594, 4), (1518, 1)) for flag in (IN, OUT)
    }


def test_a_packet_of_a_mix_has_valid_lengths_and_its_answer_is_of_the_same_conversation(tmp_path: Path) -> None:
    found = caught(MIX, tmp_path / "f.pcapng")
    ways: dict[int, Counter[tuple[bytes, bytes, int]]] = {IN: Counter(), OUT: Counter()}
    for frame, flag in zip(found.data, found.flags, strict=True):
        assert struct.unpack("!H", frame[16:18])[0] == len(frame) - 14
        assert struct.unpack("!H", frame[38:40])[0] == len(frame) - 34
        here, there = frame[26:30] + frame[34:36], frame[30:34] + frame[36:38]
        ways[flag][(here, there, len(frame)) if flag == IN else (there, here, len(frame))] += 1
    assert ways[IN] == ways[OUT]
    assert len({(here, there) for here, there, _ in ways[IN]}) == FLOWS


def test_the_senders_of_two_links_take_turns_in_bursts(tmp_path: Path) -> None:
    file = tmp_path / "f.pcapng"
    caught(replace(TWO_LINKS, rate=RATE), file, BURSTS)
    with CaptureFile(str(file)) as capture:
        interfaces = np.concatenate([batch.packets["interface"].copy() for batch in capture])
    # On a machine that is busy a veth drops what its receiver has not taken.
    assert all(BURSTS // 4 < count <= BURSTS // 2 for count in np.bincount(interfaces).tolist())
    changes = int(np.count_nonzero(np.diff(interfaces)))
    assert changes > 1, "one link was sent to after the other"


# dumpcap has a thread for each interface, and at its end forgets what waits between them.
@pytest.mark.parametrize("tool", tools()[:2], ids=lambda tool: tool.name)
def test_each_tool_listens_to_both_links(tool: Tool, tmp_path: Path) -> None:
    with VethPair(count=2) as link, LoadSource(link, TWO_LINKS) as source:
        names = [pair.name for pair in link.pairs]
        with tool.start(link.netns, names, str(tmp_path / "f"), 262_144, cpu=None) as running:
            assert source.pace(BURSTS, RATE).sent == BURSTS
            assert BURSTS // 2 < running.stop().written <= BURSTS
