"""Several files -> the same packets and sessions as from one file with all of them; merged as mergecap merges."""

import random
import subprocess
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.analysis.packets import reading
from capture.analysis.packets.merged import open_captures
from capture.analysis.packets.several import CaptureParts, CaptureSource
from capture.analysis.sessions.tracker import Tracker
from capture.errors import FormatError
from capture.pcapng.blocks import names
from testbed import generate, packets
from testbed.foreign_blocks import enhanced, interface, option, section

Frames = Sequence[tuple[int, int, bytes]]
"""Time in µs, interface, bytes."""
ETH = ("eth0", "eth1", "eth2")


def write(path: Path, frames: Frames, named: Iterable[str] = ETH) -> str:
    described = b"".join(interface("<", option("<", 2, name.encode())) for name in named)
    path.write_bytes(section("<") + described + b"".join(enhanced("<", frame, at, on) for at, on, frame in frames))
    return str(path)


def read(words: Sequence[str]) -> tuple[list[tuple[int, int, str, bytes]], list[bytes], CaptureSource]:
    """Return (number, time, interface's name, bytes) of all packets, and the rows of all sessions."""
    found, sessions, tracker = [], [], Tracker()
    with open_captures(words) as capture:
        for batch in capture:
            sessions += [table for table, _ in tracker.feed(batch.data, batch.packets)]
            for row in batch.packets:
                frame = batch.data[int(row["offset"]) :][: int(row["captured"])].tobytes()
                name = capture.description.interfaces[int(row["interface"])].name
                found.append((int(row["number"]), int(row["time_ns"]) // 1000, name, frame))
    sessions += [table for table, _ in tracker.finish()]
    rows = sorted(row.tobytes() for table in sessions for row in table)
    return found, rows, capture


def some_frames(chance: random.Random, count: int) -> Frames:
    return [(at * 10, chance.randrange(3), generate.packet(chance, at)) for at in range(count)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 60))
def test_the_parts_of_a_capture_are_the_same_as_one_file(
    tmp_path_factory: pytest.TempPathFactory, seed: int, batch: int
) -> None:
    chance, folder = random.Random(seed), tmp_path_factory.mktemp("parts")
    frames = some_frames(chance, chance.randrange(1, 120))
    cuts = sorted(chance.choices(range(len(frames) + 1), k=3))
    ends = list(zip([0, *cuts], [*cuts, len(frames)], strict=True))
    for number, (start, end) in enumerate(ends):
        write(folder / f"p_{number:05d}_20260101000000.pcapng", frames[start:end])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BATCH", batch)
        whole = read([write(folder / "whole", frames)])
        parts = read([str(folder / "p_*.pcapng")])
    assert parts[:2] == whole[:2]


def test_an_interface_is_the_same_in_each_part_by_its_name_whatever_its_number(tmp_path: Path) -> None:
    frame = packets.udp("10.0.0.1", 1, "10.0.0.2", 2)
    write(tmp_path / "a1.pcap", [(1, 0, frame), (2, 1, frame)], ["eth0", "eth1"])
    write(tmp_path / "a2.pcap", [(3, 0, frame), (4, 1, frame), (5, 2, frame)], ["eth2", "eth1", "eth0"])
    found, sessions, capture = read([str(tmp_path)])
    assert [name for _, _, name, _ in found] == ["eth0", "eth1", "eth2", "eth1", "eth0"]
    assert [one.name for one in capture.description.interfaces] == ["eth0", "eth1", "eth2"]
    assert len(sessions) == 3


def test_interfaces_of_one_name_in_a_file_stay_apart(tmp_path: Path) -> None:
    frame = packets.udp("10.0.0.1", 1, "10.0.0.2", 2)
    for number in (1, 2):
        write(tmp_path / f"a{number}.pcap", [(number, 0, frame), (number, 1, frame)], ["", ""])
    _, sessions, capture = read([str(tmp_path)])
    assert len(capture.description.interfaces) == 2
    assert len(sessions) == 2


@pytest.mark.random
@pytest.mark.parametrize("batch", [3, 64, 4096])
def test_captures_are_merged_by_time_as_mergecap_does(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_BATCH", batch)
    chance = random.Random(batch)
    words: list[str] = []
    for name in ("one", "two", "three"):
        start = chance.randrange(0, 3000)
        times = sorted(chance.choices(range(start, start + 2000), k=200))
        frames = [(2 * at + len(words), 0, generate.packet(chance, number)) for number, at in enumerate(times)]
        words.append(write(tmp_path / name, sorted(frames, key=lambda one: one[0]), ["eth0"]))
    subprocess.run(["mergecap", "-w", str(tmp_path / "merged"), *words], check=True)
    theirs, _, _ = read([str(tmp_path / "merged")])
    ours, _, capture = read(words)
    assert [(number, at) for number, at, _, _ in ours] == [(number, at) for number, at, _, _ in theirs]
    assert sorted(one[3] for one in ours) == sorted(one[3] for one in theirs)
    assert {one.name for one in capture.description.interfaces} == {"one/eth0", "two/eth0", "three/eth0"}
    assert capture.packets == len(ours)


def test_packets_that_a_capture_has_out_of_order_stay_in_its_order(tmp_path: Path) -> None:
    frame = packets.arp()
    words = [
        write(tmp_path / "one", [(10, 0, frame), (30, 0, frame), (20, 0, frame), (50, 0, frame)], ["a"]),
        write(tmp_path / "two", [(25, 0, frame), (40, 0, frame)], ["b"]),
    ]
    ours, _, _ = read(words)
    assert [at for _, at, _, _ in ours] == [10, 25, 30, 20, 40, 50]
    assert [number for number, _, _, _ in ours] == [1, 2, 3, 4, 5, 6]


def test_captures_with_the_same_name_in_two_folders_are_two_points(tmp_path: Path) -> None:
    frame = packets.udp("10.0.0.1", 1, "10.0.0.2", 2)
    for folder in ("n1", "n2"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "x.pcap", [(1, 0, frame)], ["eth0"])
    _, sessions, capture = read([str(tmp_path / "n1/x.pcap"), str(tmp_path / "n2/x.pcap")])
    assert len(sessions) == len(capture.description.interfaces) == 2


def test_damage_in_one_file_leaves_the_others_and_is_reported_in_the_end(tmp_path: Path) -> None:
    frame = packets.arp()
    for name in ("a1.pcap", "a2.pcap", "b"):
        write(tmp_path / name, [(at, 0, frame) for at in range(int(name[1:2] or 1) * 10, 100)], ["eth0"])
    for name in ("a1.pcap", "b"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-5])
    words = [str(tmp_path / name) for name in ("a1.pcap", "a2.pcap", "b")]
    sizes: list[int] = []
    with open_captures(words) as capture, pytest.raises(FormatError, match=r"is damaged at byte.*; 1 more file"):
        sizes.extend(len(batch.packets) for batch in capture)
    assert sum(sizes) == 89 + 80 + 89


def test_names_of_all_files_are_known(tmp_path: Path) -> None:
    frame = packets.arp()
    for name, address in (("one", "10.0.0.1"), ("two", "10.0.0.2")):
        write(tmp_path / name, [(1, 0, frame)], ["eth0"])
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(names({ip_address(address): f"pod-{name}"}).join([content[:28], content[28:]]))
    _, _, capture = read([str(tmp_path / "one"), str(tmp_path / "two")])
    assert set(capture.description.names.values()) == {"pod-one", "pod-two"}


def test_the_place_of_a_packet_is_its_part_and_its_number_there(tmp_path: Path) -> None:
    frame = packets.arp()
    parts = tuple(write(tmp_path / f"a{n}.pcap", [(n * 10 + k, 0, frame) for k in range(n)]) for n in (1, 2, 3))
    capture = CaptureParts(parts)
    assert sum(len(batch.packets) for batch in capture) == 6
    places = [capture.place(number) for number in range(1, 7)]
    assert places == [(parts[part], number) for part in range(3) for number in range(1, part + 2)]
