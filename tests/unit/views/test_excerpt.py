"""Chosen packets -> a new pcapng file, in which Wireshark finds what it finds in the first one."""

import random
import struct
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from capture.analysis.packets.merged import open_captures
from capture.analysis.packets.packet_filter import PacketFilter
from capture.pcapng.blocks import names
from capture.views.excerpt import Excerpt
from capture.views.packet_query import PacketQuery
from testbed import generate, packets
from testbed.foreign_blocks import block, interface, option, section

FIELDS = (
    *("frame.time_epoch", "frame.len", "frame.cap_len", "frame.md5_hash", "frame.interface_name", "frame.comment"),
    *("frame.interface_description", "frame.packet_flags", "frame.packet_id", "frame.drop_count"),
)


def tshark(path: Path, numbers: list[int] | None = None) -> list[str]:
    """Return what tshark says of the packets with these numbers, or of all."""
    words = ["tshark", "-n", "-r", str(path), "-o", "frame.generate_md5_hash:TRUE", "-T", "fields"]
    words += [word for name in FIELDS for word in ("-e", name)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    return lines if numbers is None else [lines[number - 1] for number in numbers]


def packet(order: str, frame: bytes, at_ns: int, number: int, chance: random.Random) -> bytes:
    """Return an Enhanced Packet Block with some of the options that the format has."""
    options = [
        option(order, 1, "größer".encode()),
        option(order, 1, b"a second comment"),
        option(order, 2, struct.pack(order + "I", chance.randrange(4))),
        option(order, 3, b"\2" + struct.pack(order + "I", 77)),
        option(order, 4, struct.pack(order + "Q", chance.randrange(1 << 40))),
        option(order, 5, struct.pack(order + "Q", chance.randrange(1 << 40))),
    ]
    kept = b"".join(one for one in options if chance.random() < 0.6)
    end = bytes(4) if kept and chance.random() < 0.8 else b""
    head = struct.pack(order + "IIIII", number, at_ns >> 32, at_ns & 0xFFFFFFFF, len(frame), len(frame) + 9)
    return block(order, 6, head + frame + bytes(-len(frame) % 4) + kept + end)


def file_of(path: Path, order: str, chance: random.Random, count: int = 150) -> Path:
    """Write random packets on two interfaces with different clocks, and an interface that comes later."""
    described = [
        interface(order, option(order, 2, b"eth0") + option(order, 3, b"the first") + option(order, 9, b"\x09")),
        interface(
            order, option(order, 2, b"eth1") + option(order, 8, struct.pack(order + "Q", 10**9)), snaplen=65535
        ),
    ]
    later = interface(order, option(order, 2, b"pod/web:eth0") + option(order, 6, bytes(6)))
    ticks = (1_700_000_000_123_456_789, 1_700_000_000_123_456, 1_700_000_000_123_456)
    blocks = []
    for at in range(count):
        on = chance.randrange(2 if at < count // 2 else 3)
        blocks.append(packet(order, generate.packet(chance, at), ticks[on] + at, on, chance))
    middle = count // 2
    path.write_bytes(
        section(order) + b"".join(described) + b"".join(blocks[:middle]) + later + b"".join(blocks[middle:])
    )
    return path


def written(source: Path, target: Path, query: PacketQuery) -> list[int]:
    """Write the packets of a query, and return their numbers."""
    numbers: list[int] = []
    with open_captures([str(source)]) as capture, target.open("wb") as out:
        excerpt = Excerpt(capture.description, "a test")
        for batch in query.of(capture, capture, across_interfaces=False):
            numbers += batch.packets["number"].tolist()
            out.writelines(excerpt.blocks(batch))
        out.writelines(excerpt.described())
    assert excerpt.packets == len(numbers)
    return numbers


@pytest.mark.slow
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("seed", range(4))
def test_wireshark_finds_the_same_packets_interfaces_and_comments(order: str, seed: int, tmp_path: Path) -> None:
    source = file_of(tmp_path / "source", order, random.Random(seed))
    for expression in ("tcp", "udp or icmp", "len > 0"):
        numbers = written(source, tmp_path / "target", PacketQuery(expression=PacketFilter(expression)))
        assert len(numbers) > 5
        assert tshark(tmp_path / "target") == tshark(source, numbers)


def test_the_header_keeps_what_the_first_said_and_says_how_packets_were_chosen(tmp_path: Path) -> None:
    options = [(1, b"first"), (1, b"second"), (2, b"a machine"), (3, b"Linux 6"), (4, b"dumpcap")]
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + b"".join(option("<", code, text) for code, text in options)
    named = names({ip_address("10.0.0.1"): "default/web"})
    blocks = (
        block("<", 0x0A0D0D0A, body) + interface("<") + named + packet("<", packets.arp(), 5, 0, random.Random(1))
    )
    (tmp_path / "source").write_bytes(blocks)
    written(tmp_path / "source", tmp_path / "target", PacketQuery())
    with open_captures([str(tmp_path / "target")]) as capture:
        assert sum(len(batch.packets) for batch in capture) == 1
        assert capture.description.section.comments == ("a test", "first", "second")
        assert (capture.description.section.hardware, capture.description.section.os) == ("a machine", "Linux 6")
        assert capture.description.section.application.startswith("bicap ")
        assert capture.description.names == {ip_address("10.0.0.1"): "default/web"}


def test_an_option_that_does_not_fit_is_left_out_with_those_behind_it(tmp_path: Path) -> None:
    frame = packets.arp()
    head = struct.pack("<IIIII", 0, 0, 5, len(frame), len(frame))
    bad = option("<", 1, b"kept") + struct.pack("<HH", 1, 400) + b"left out"
    content = head + frame + bytes(-len(frame) % 4) + bad
    (tmp_path / "source").write_bytes(section("<") + interface("<") + block("<", 6, content))
    written(tmp_path / "source", tmp_path / "target", PacketQuery())
    assert [line.split("\t")[5] for line in tshark(tmp_path / "target")] == ["kept"]


def test_no_packet_is_a_file_with_interfaces_and_without_packets(tmp_path: Path) -> None:
    source = file_of(tmp_path / "source", "<", random.Random(1), 10)
    assert written(source, tmp_path / "target", PacketQuery(expression=PacketFilter("port 1"))) == []
    done = subprocess.run(["capinfos", str(tmp_path / "target")], capture_output=True, text=True, check=True)
    assert "Number of interfaces in file: 3" in done.stdout
