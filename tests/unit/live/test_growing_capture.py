"""Files that are still written -> their packets, once each, and a count of what was left out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from capture.live import growing_capture
from capture.live.growing_capture import GrowingCapture
from capture.pcapng import blocks

START = blocks.section_header(hardware="", os="", application="", comment="") + blocks.interfaces(
    [blocks.InterfaceBlock("veth-a")]
)
FRAME = bytes(12) + b"\x08\x00" + bytes(50)


def packets(first: int, count: int) -> bytes:
    return b"".join(blocks.packet(0, time_ns, FRAME, len(FRAME), "") for time_ns in range(first, first + count))


def read(steps: list[Callable[[GrowingCapture], None]]) -> tuple[list[int], int]:
    """The times of the packets that are read while the steps happen, one at each wait, and how many were missed."""
    left = iter(steps)
    capture = GrowingCapture(lambda: next(left)(capture))
    times = [time_ns for batch in capture.batches() for time_ns in batch.packets["time_ns"].tolist()]
    return times, capture.missed


def test_packets_come_as_they_are_written_and_half_a_block_is_not_looked_at(tmp_path: Path) -> None:
    one, two = tmp_path / "1.pcapng", tmp_path / "2.pcapng"
    whole = START + packets(1, 5)

    def begin(capture: GrowingCapture) -> None:
        one.write_bytes(whole + packets(6, 1)[:30])
        capture.wrote([(str(one), len(whole))], 5, over=False)

    def go_on(capture: GrowingCapture) -> None:
        one.write_bytes(whole + packets(6, 3))
        two.write_bytes(START)
        capture.wrote([(str(one), one.stat().st_size), (str(two), len(START))], 8, over=False)

    def end(capture: GrowingCapture) -> None:
        two.write_bytes(START + packets(9, 2))
        capture.wrote([(str(two), two.stat().st_size)], 10, over=True)

    assert read([begin, go_on, end]) == (list(range(1, 11)), 0)


def test_a_file_that_was_removed_before_it_was_read_is_counted(tmp_path: Path) -> None:
    last = tmp_path / "3.pcapng"
    last.write_bytes(START + packets(31, 4))
    gone = [(str(tmp_path / "1.pcapng"), 5000), (str(tmp_path / "2.pcapng"), 5000)]
    end = [*gone, (str(last), last.stat().st_size)]
    assert read([lambda capture: capture.wrote(end, 104, over=True)]) == (list(range(31, 35)), 100)


def test_a_reader_that_is_far_behind_passes_over_packets_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_capture, "BEHIND_MOST", 1 << 20)
    file = tmp_path / "1.pcapng"
    file.write_bytes(START + packets(0, 40_000))
    times, missed = read([lambda capture: capture.wrote([(str(file), file.stat().st_size)], 40_000, over=True)])
    assert len(times) + missed == 40_000
    assert missed > 20_000
    assert times[-1] == 39_999  # what is new is followed again
