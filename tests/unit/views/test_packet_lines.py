"""Packets -> lines, the same for any batches, and columns for JSON."""

import random
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.analysis.packets import reading
from capture.analysis.packets.reading import CaptureFile
from capture.analysis.sessions.tracker import Tracker
from capture.pcapng.blocks import names
from capture.views.packet_lines import PacketLines, packet_columns
from testbed import generate, packets
from testbed.foreign_blocks import enhanced, interface, option, section

A, B, A6, B6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
SYN, ACK, PSH = packets.SYN, packets.ACK, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("words")


def shown(path: Path, frames: list[bytes], by_name: bool = False, flags: int | None = None) -> list[str]:
    """Return the lines of a file of these frames, a microsecond apart, without number and time."""
    described = section("<") + interface("<", option("<", 2, b"eth0")) + names({ip_address(A): "default/web"})
    path.write_bytes(described + b"".join(enhanced("<", frame, at, flags=flags) for at, frame in enumerate(frames)))
    said, tracker = "", Tracker()
    with CaptureFile(str(path)) as file:
        lines = PacketLines(file.description, by_name)
        for batch in file:
            for _ in tracker.feed(batch.data, batch.packets):
                pass
            said += lines.lines(batch.packets)
    return [line.split(maxsplit=2)[2] for line in said.splitlines()]


def renumbered(frame: bytes) -> bytes:
    """Return the frame with another IP identification: it is no copy."""
    return frame[:18] + b"\0\2" + frame[20:]


CASES = [
    ("no IP", [packets.arp()], ["eth0 no IP, length 42"]),
    ("UDP", [packets.udp(A, 53, B, 4000, b"abc")], ["eth0 #1 IP 10.0.0.1.53 > 10.0.0.2.4000: UDP, length 3"]),
    ("IPv6", [packets.udp(A6, 53, B6, 1)], ["eth0 #1 IP6 fd00::1.53 > fd00::2.1: UDP, length 0"]),
    (
        "relative numbers",
        [
            packets.tcp(A, 4000, B, 80, flags=SYN, sequence=1000),
            packets.tcp(B, 80, A, 4000, flags=SYN | ACK, sequence=0xFFFFFFFF, acknowledgment=1001),
            packets.tcp(A, 4000, B, 80, flags=ACK, sequence=1001, acknowledgment=0),
            packets.tcp(A, 4000, B, 80, flags=ACK | PSH, sequence=1001, acknowledgment=0, payload=b"ab"),
        ],
        [
            "eth0 #1 IP 10.0.0.1.4000 > 10.0.0.2.80: Flags [S], seq 1000, win 65535, length 0",
            "eth0 #1 IP 10.0.0.2.80 > 10.0.0.1.4000: Flags [S.], seq 4294967295, ack 1, win 65535, length 0",
            "eth0 #1 IP 10.0.0.1.4000 > 10.0.0.2.80: Flags [.], ack 1, win 65535, length 0",
            "eth0 #1 IP 10.0.0.1.4000 > 10.0.0.2.80: Flags [P.], seq 1:3, ack 1, win 65535, length 2",
        ],
    ),
    (
        "what was not seen is absolute",
        [packets.tcp(A, 4000, B, 80, flags=ACK, sequence=7, acknowledgment=9)],
        ["eth0 #1 IP 10.0.0.1.4000 > 10.0.0.2.80: Flags [.], ack 9, win 65535, length 0"],
    ),
    (
        "no flags",
        [packets.tcp(A, 4000, B, 80, flags=0)],
        ["eth0 #1 IP 10.0.0.1.4000 > 10.0.0.2.80: Flags [none], win 65535, length 0"],
    ),
    (
        "echo",
        [packets.icmp(A, B)],
        ["eth0 #1 IP 10.0.0.1 > 10.0.0.2: ICMP echo-request, id 7, seq 1, length 40"],
    ),
    (
        "an error",
        [packets.icmp_error(B, packets.udp(A, 1, B, 2), 3, 3)],
        ["eth0 #1 IP 10.0.0.2 > 10.0.0.1: ICMP destination-unreachable/port-unreachable, length 36"],
    ),
    (
        "a later fragment",
        [packets.fragment(packets.udp(A, 1, B, 2, bytes(64)), 64, more=False)],
        ["eth0 IP 10.0.0.1 > 10.0.0.2: udp, a later fragment, length 72"],
    ),
    (
        "cut before the ports",
        [packets.udp(A, 1, B, 2)[:37]],
        ["eth0 IP 10.0.0.1 > 10.0.0.2: UDP, length 3 [cut]"],
    ),
    (
        "cut",
        [packets.udp(A, 1, B, 2)[:40]],
        ["eth0 #1 IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 6 [cut]"],
    ),
    (
        "marks",
        [
            packets.tcp(A, 4000, B, 80, flags=ACK, sequence=1, payload=b"ab"),
            renumbered(packets.tcp(A, 4000, B, 80, flags=ACK, sequence=1, payload=b"ab", window=0)),
        ],
        [
            "eth0 #1 IP 10.0.0.1.4000 > 10.0.0.2.80: Flags [.], seq 1:3, ack 1, win 65535, length 2",
            "eth0 #1 IP 10.0.0.1.4000 > 10.0.0.2.80: Flags [.], seq 0:2, ack 1, win 0, length 2 "
            "[retransmission, zero window]",
        ],
    ),
    ("another protocol", [packets.ip(A, B, 89, bytes(8))], ["eth0 #1 IP 10.0.0.1 > 10.0.0.2: 89, length 8"]),
]


@pytest.mark.parametrize(("frames", "lines"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_line(tmp_path: Path, frames: list[bytes], lines: list[str]) -> None:
    assert shown(tmp_path / "file", frames) == lines


def test_a_line_has_names_and_directions(tmp_path: Path) -> None:
    frame = [packets.udp(A, 53, B, 4000)]
    said = "IP default/web.53 > 10.0.0.2.4000: UDP, length 0"
    assert shown(tmp_path / "file", frame, by_name=True, flags=1) == [f"eth0 In #1 {said}"]
    assert shown(tmp_path / "file", frame, by_name=True, flags=2) == [f"eth0 Out #1 {said}"]
    assert shown(tmp_path / "file", frame, by_name=True, flags=3) == [f"eth0 #1 {said}"]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 60))
def test_lines_are_the_same_for_any_batches(folder: Path, seed: int, batch: int) -> None:
    chance = random.Random(seed)
    frames = [generate.packet(chance, number) for number in range(chance.randrange(1, 150))]
    whole = shown(folder / "file", frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BATCH", batch)
        assert shown(folder / "file", frames) == whole


def test_columns_have_words_for_addresses_interfaces_and_directions(tmp_path: Path) -> None:
    shown(tmp_path / "file", [packets.udp(A6, 53, B6, 4000), packets.arp()], flags=2)
    with CaptureFile(str(tmp_path / "file")) as file:
        (batch,) = file
        columns = packet_columns(batch.packets, file.description)
    assert {len(column) for column in columns.values()} == {2}
    assert columns["source"] == [A6, None]
    assert columns["destination_port"] == [4000, 0]
    assert columns["interface"] == ["eth0", "eth0"]
    assert columns["direction"] == ["Out", "Out"]
    assert not {"offset", "source_high", "destination_low"} & columns.keys()
