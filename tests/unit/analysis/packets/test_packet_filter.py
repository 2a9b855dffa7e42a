"""A tcpdump expression -> the packets of a file that it accepts, as tcpdump finds them."""

import random
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from capture.analysis.packets.packet_filter import PacketFilter
from capture.analysis.packets.reading import CaptureFile
from capture.errors import FilterError
from capture.wire.link_types import ETHERNET, IPV4, LINUX_SLL, LINUX_SLL2, LOOP, NULL, RAW
from testbed import generate, packets
from testbed.foreign_blocks import enhanced, interface, section

A, B = "10.0.0.1", "10.0.0.2"


def accepted(path: Path, expression: str) -> list[int]:
    """Return the numbers of the packets that the expression accepts."""
    found: list[int] = []
    wanted = PacketFilter(expression)
    with CaptureFile(str(path)) as file:
        for batch in file:
            found += batch.packets["number"][wanted.accepted(batch, file.description.interfaces)].tolist()
    return found


def file_of(path: Path, frames: list[bytes], link: int = ETHERNET, original: int = 0, order: str = "<") -> Path:
    blocks = [enhanced(order, frame, at, original=original) for at, frame in enumerate(frames)]
    path.write_bytes(section(order) + interface(order, link=link) + b"".join(blocks))
    return path


def tcpdumps(path: Path, expression: str) -> list[int] | None:
    """Return the numbers of the packets that tcpdump shows, by their times; None if it refuses the expression."""
    words = ["tcpdump", "-nn", "-tt", "-r", str(path), expression]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    times = re.findall(r"^\d+\.(\d{6}) ", done.stdout, re.MULTILINE)
    return [int(moment) + 1 for moment in times]


@pytest.mark.random
def test_random_expressions_accept_the_packets_that_tcpdump_shows(tmp_path: Path) -> None:
    chance = random.Random(5)
    path = file_of(tmp_path / "file", [generate.packet(chance, number) for number in range(400)])
    compared = 0
    for _ in range(60):
        expression = generate.expression(chance)
        theirs = tcpdumps(path, expression)
        if theirs is not None:  # libpcap refuses what no packet can match
            assert accepted(path, expression) == theirs, expression
            compared += len(theirs)
    assert compared > 1000


TCP = packets.tcp(A, 4000, B, 80)[14:]
HEADERS = {
    ETHERNET: packets.NODE_MAC + packets.POD_MAC + b"\x08\0",
    LINUX_SLL: bytes(14) + b"\x08\0",
    LINUX_SLL2: b"\x08\0" + bytes(18),
    RAW: b"",
    IPV4: b"",
    NULL: b"\2\0\0\0",
    LOOP: b"\0\0\0\2",
}


@pytest.mark.parametrize("link", HEADERS)
def test_an_expression_sees_the_network_layer_behind_each_link_layer(link: int, tmp_path: Path) -> None:
    other = packets.udp(A, 4000, B, 80)[14:]
    path = file_of(tmp_path / "file", [HEADERS[link] + TCP, HEADERS[link] + other], link)
    assert accepted(path, "tcp port 80 and src host 10.0.0.1") == [1]
    assert accepted(path, "udp") == [2]


def test_loopback_of_a_machine_with_the_other_byte_order_is_seen_too(tmp_path: Path) -> None:
    path = file_of(tmp_path / "file", [b"\0\0\0\2" + TCP], NULL, order=">")
    assert accepted(path, "tcp port 80") == [1]


def test_length_is_that_on_the_wire_and_bytes_that_were_not_captured_match_nothing(tmp_path: Path) -> None:
    path = file_of(tmp_path / "file", [packets.tcp(A, 4000, B, 80, payload=b"x" * 50)[:40]], original=104)
    assert accepted(path, "len = 104") == [1]
    assert accepted(path, "tcp[tcpflags] & tcp-ack != 0") == []
    assert accepted(path, "tcp port 80") == [1]


@pytest.mark.parametrize(
    ("link", "expression", "message"),
    [
        (ETHERNET, "tcp prot 80", "at position 5"),
        (RAW, "ether host 02:00:00:00:00:01", "only on ethernet"),
        (ETHERNET, "inbound", "inbound"),
    ],
)
def test_a_wrong_expression_is_refused_with_libpcaps_reason(
    link: int, expression: str, message: str, tmp_path: Path
) -> None:
    path = file_of(tmp_path / "file", [packets.arp()], link)
    with pytest.raises(FilterError, match=message):
        accepted(path, expression)


def test_an_interface_that_comes_later_has_a_program_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "file"
    first = section("<") + interface("<") + enhanced("<", HEADERS[ETHERNET] + TCP, 1)
    path.write_bytes(first + interface("<", link=RAW) + enhanced("<", TCP, 2, number=1))
    assert accepted(path, "tcp src port 4000") == [1, 2]
    assert np.array_equal(accepted(path, "udp"), [])
