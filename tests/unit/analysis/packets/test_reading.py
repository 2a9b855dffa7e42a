"""A file -> batches, read ahead by a thread or not; how long they are valid, and how reading ends."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.analysis.packets import reading
from capture.analysis.packets.ahead import ahead
from capture.analysis.packets.reading import CaptureFile
from capture.errors import FormatError
from testbed import packets
from testbed.foreign_blocks import capture_file
from testbed.patience import PATIENCE


@given(st.integers(0, 40), st.integers(1, 5), st.booleans())
def test_items_made_ahead_are_the_same_and_end_in_the_same_way(count: int, most: int, fails: bool) -> None:
    def items() -> Iterator[int]:
        yield from range(count)
        if fails:
            raise FormatError("damaged")

    found = []
    try:
        for item in ahead(items(), most):
            found.append(item)
    except FormatError:
        assert fails
    else:
        assert not fails
    assert found == list(range(count))


@given(st.integers(1, 5), st.integers(1, 20))
def test_no_more_items_exist_at_a_time_than_allowed(most: int, wanted: int) -> None:
    made, allowed = 0, threading.Semaphore(0)

    def items() -> Iterator[int]:
        nonlocal made
        while True:
            made += 1
            if made == most:
                allowed.release()  # as far as it gets before the first is done
            yield made

    given = ahead(items(), most)
    assert next(given) == 1
    assert allowed.acquire(timeout=PATIENCE)
    assert made == most
    for expected in range(2, wanted + 2):
        assert next(given) == expected
        assert made < expected + most
    del given
    assert not any(thread.name == "ahead" for thread in threading.enumerate())


SIZES = [1, 3000, 3, 60_000, 9, 9, 9, 200, 30_000]
"""Payload sizes, in turn: packets that fill a piece, and pieces that are full of packets."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [
        packets.udp("10.0.0.1", 1000 + number % 9, "10.0.0.2", 53, number.to_bytes(4, "big") * (size // 4 + 1))
        for number, size in enumerate(SIZES * 300)
    ]
    path = tmp_path_factory.mktemp("reading") / "file.pcapng"
    path.write_bytes(capture_file(frames, [0] * len(frames)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("piece", [1 << 12, 1 << 16, 1 << 20])
@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_batch_is_valid_until_the_promised_number_of_later_ones_is_requested(
    file: Path, most: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PIECE", piece)
    monkeypatch.setattr(reading, "_BATCH", 7)
    held: list[tuple[reading.Batch, bytes, bytes]] = []
    with CaptureFile(str(file)) as capture:
        for batch in capture._batches(most):
            held = [*held, (batch, batch.data.tobytes(), batch.packets.tobytes())][-most:]
            for one, data, rows in held:
                assert one.packets.tobytes() == rows
                for packet in one.packets:
                    content = slice(int(packet["offset"]), int(packet["offset"] + packet["captured"]))
                    assert bytes(one.data[content]) == data[content]
        assert capture.packets == len(SIZES) * 300


def test_a_file_that_is_read_ahead_has_the_same_packets(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_of_it() -> list[tuple[int, bytes]]:
        with CaptureFile(str(file)) as capture:
            return [
                (int(packet["time_ns"]), bytes(batch.data[int(packet["offset"]) :][: int(packet["captured"])]))
                for batch in capture
                for packet in batch.packets
            ]

    assert file.stat().st_size > reading._WORTH_A_THREAD
    read_ahead = all_of_it()
    monkeypatch.setattr(reading, "_WORTH_A_THREAD", 1 << 40)
    assert read_ahead == all_of_it()
    assert len(read_ahead) == len(SIZES) * 300


def test_damage_comes_after_the_packets_before_it(file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(file.read_bytes()[:-10])
    sizes: list[int] = []
    with CaptureFile(str(cut)) as capture, pytest.raises(FormatError, match="is cut off"):
        sizes.extend(len(batch.packets) for batch in capture)
    assert sum(sizes) == len(SIZES) * 300 - 1


def test_stopping_early_leaves_no_thread(file: Path) -> None:
    with CaptureFile(str(file)) as capture:
        for _ in capture:
            break
    assert not any(thread.name == "ahead" for thread in threading.enumerate())
