"""Frames -> columns. Bytes behind the captured ones do not matter."""

import random
from ipaddress import ip_address
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.analysis.packets.compiled.decode import decode
from capture.analysis.packets.packet_table import PACKET, Kind
from capture.wire.addresses import address, address_text, halves
from capture.wire.link_types import ETHERNET, IPV6, LINUX_SLL, LINUX_SLL2, LOOP, NULL, RAW
from testbed import generate, packets

A, B = "10.0.0.1", "10.0.0.2"
C, D = "fd00::1", "fd00::2"


def decoded(frame: bytes, link: int = ETHERNET, original: int = 0, behind: bytes = b"") -> Any:
    rows = np.zeros(1, PACKET)
    rows["captured"], rows["original"] = len(frame), original or len(frame)
    decode(np.frombuffer(frame + behind, np.uint8), np.array([link], np.int64), rows, 1)
    return rows[0]


def ends(row: Any) -> tuple[str, int, str, int]:
    source, destination = (
        str(address(int(row["family"]), int(row[f"{side}_high"]), int(row[f"{side}_low"])))
        for side in ("source", "destination")
    )
    return source, int(row["source_port"]), destination, int(row["destination_port"])


TCP = packets.tcp(A, 1000, B, 80, packets.SYN, b"xyz", sequence=7, acknowledgment=9, window=5, timestamps=(11, 12))
TCP6 = packets.tcp(C, 1000, D, 80, packets.ACK, b"xyz")


def test_every_column_of_a_tcp_segment() -> None:
    row = decoded(TCP)
    assert ends(row) == (A, 1000, B, 80)
    expected = {
        "family": 4,
        "protocol": 6,
        "tcp_flags": packets.SYN,
        "sequence": 7,
        "acknowledgment": 9,
        "window": 5,
        "tsval": 11,
        "tsecr": 12,
        "payload": 3,
        "payload_at": 14 + 20 + 32,
        "identification": 1,
        "hops": 64,
        "kind": Kind.TIMESTAMPS,
    }
    assert {name: int(row[name]) for name in expected} == expected


LAYERS = [
    ("IPv6", TCP6, 3),
    ("VLAN", packets.vlan(TCP6, (0x8100, 5)), 3),
    ("two VLANs", packets.vlan(TCP6, (0x88A8, 5), (0x8100, 6)), 3),
    ("hop by hop", packets.with_extensions(TCP6, packets.hop_by_hop(2)), 3),
    ("all extensions", packets.with_extensions(TCP6, packets.hop_by_hop(), (60, bytes(7)), (43, bytes(7))), 3),
    ("padding of a short frame", TCP6 + bytes(20), 3),
]


@pytest.mark.parametrize(("frame", "payload"), [case[1:] for case in LAYERS], ids=[case[0] for case in LAYERS])
def test_layers_below_tcp_are_skipped(frame: bytes, payload: int) -> None:
    row = decoded(frame)
    assert (*ends(row), int(row["protocol"]), int(row["payload"])) == (C, 1000, D, 80, 6, payload)


E, F = "fd00::5", "fd00::6"


def routing(kind: int, segments_left: int, *addresses: str) -> tuple[int, bytes]:
    """Return a routing header (RFC 8200) with the addresses in the order of the header."""
    listed = b"".join(ip_address(address).packed for address in addresses)
    return 43, bytes([2 * len(addresses), kind, segments_left]) + bytes(4) + listed


ROUTES = [
    # header, and the destination as tshark has it (but for the compressed addresses of type 3)
    ("type 0 goes on to the last address", routing(0, 2, E, F), F),
    ("type 0 has arrived", routing(0, 0, E, F), D),
    ("home address", routing(2, 1, E), E),
    ("a segment list begins with the last", routing(4, 1, E, F), E),
    ("a type without addresses of this form", routing(3, 1, E, F), D),
    ("no address", routing(0, 1), D),
]


@pytest.mark.parametrize(("header", "destination"), [case[1:] for case in ROUTES], ids=[case[0] for case in ROUTES])
def test_a_packet_goes_to_the_last_address_of_its_route(header: tuple[int, bytes], destination: str) -> None:
    frame = packets.with_extensions(TCP6, header)
    row = decoded(frame)
    assert (*ends(row), int(row["payload"])) == (C, 1000, destination, 80, 3)
    assert ends(decoded(frame[:70]))[2] == D  # where the addresses are cut off, those of the header itself


def test_addresses_are_written_as_rfc_5952_has_them() -> None:
    texts = ("10.0.0.1", "fd00::1", "::ffff:10.0.0.1", "::a00:1", "::")
    found = [address_text(one.version, *halves(int(one))) for one in map(ip_address, texts)]
    assert found == list(texts)


QUESTION = packets.udp(A, 1, B, 53, b"question")
LINKS = [
    (ETHERNET, QUESTION),
    (RAW, QUESTION[14:]),
    (LINUX_SLL, bytes(14) + QUESTION[12:]),
    (LINUX_SLL2, b"\x08\0" + bytes(18) + QUESTION[14:]),
    (NULL, b"\2\0\0\0" + QUESTION[14:]),
    (LOOP, b"\0\0\0\2" + QUESTION[14:]),
]


@pytest.mark.parametrize(("link", "frame"), LINKS)
def test_link_types(link: int, frame: bytes) -> None:
    row = decoded(frame, link)
    assert (*ends(row), int(row["payload"])) == (A, 1, B, 53, 8)
    assert frame[int(row["payload_at"]) :] == b"question"


def test_raw_ipv6() -> None:
    assert ends(decoded(TCP6[14:], IPV6)) == (C, 1000, D, 80)


@pytest.mark.parametrize("frame", [packets.arp(), b"", bytes(5), packets.ethernet(0x0800, b"\x60" + bytes(50))])
def test_a_frame_without_ip_has_no_family(frame: bytes) -> None:
    assert int(decoded(frame)["family"]) == 0


def test_fragments_have_ports_only_in_the_first() -> None:
    datagram = packets.udp(A, 1000, B, 53, bytes(64))
    first, later = decoded(packets.fragment(datagram, 0, True)), decoded(packets.fragment(datagram, 4, False))
    assert (ends(first), int(first["kind"])) == ((A, 1000, B, 53), Kind.FIRST_FRAGMENT)
    assert (ends(later), int(later["kind"])) == ((A, 0, B, 0), Kind.LATER_FRAGMENT)
    later6 = decoded(packets.fragment(packets.udp(C, 1, D, 2), 4, False))
    assert (ends(later6), int(later6["protocol"]), int(later6["kind"])) == ((C, 0, D, 0), 17, Kind.LATER_FRAGMENT)


def test_a_packet_cut_by_the_snaplen_counts_in_full() -> None:
    frame = packets.tcp(A, 1, B, 2, payload=bytes(1000))
    row = decoded(frame[:60], original=len(frame))
    assert (int(row["payload"]), int(row["kind"])) == (1000, 0)


@pytest.mark.parametrize("frame", [TCP, TCP6], ids=["IPv4", "IPv6"])
def test_a_header_that_is_cut_has_its_ports(frame: bytes) -> None:
    behind_ip = 34 if frame is TCP else 54
    cut, without = decoded(frame[: behind_ip + 4]), decoded(frame[: behind_ip + 3])
    assert (ends(cut), int(cut["kind"])) == (ends(decoded(frame)), Kind.CUT)
    assert ({end for end in ends(without) if isinstance(end, int)}, int(without["kind"])) == ({0}, Kind.CUT)


@pytest.mark.parametrize("frame", [TCP, TCP6], ids=["IPv4", "IPv6"])
def test_a_super_packet_without_an_ip_length_has_the_length_of_its_frame(frame: bytes) -> None:
    at = 16 if frame[12:14] == b"\x08\0" else 18
    row = decoded(frame[:at] + b"\0\0" + frame[at + 2 :] + bytes(70_000))
    assert int(row["payload"]) == 70_003


def test_an_icmp_error_and_an_echo() -> None:
    error, echo = decoded(packets.icmp_error(B, TCP, 3, 1)), decoded(packets.icmp(A, B))
    assert (int(error["icmp_type"]), int(error["icmp_code"]), int(error["kind"])) == (3, 1, Kind.ICMP_ERROR)
    assert (ends(echo), int(echo["sequence"]), int(echo["payload"])) == ((A, 7, B, 7), 1, 32)


@given(st.integers(0, 1 << 32), st.integers(0, 200))
def test_bytes_behind_the_captured_ones_do_not_matter(seed: int, cut: int) -> None:
    frame = generate.packet(random.Random(seed), 1)[:cut]
    assert decoded(frame, original=300) == decoded(frame, original=300, behind=b"\xff" * 300)


@given(st.sampled_from([link for link, _ in LINKS]), st.binary(max_size=120))
def test_random_bytes_are_decoded_without_an_error(link: int, noise: bytes) -> None:
    row = decoded(noise, link)
    assert int(row["payload_at"]) <= len(noise)
    assert ip_address(ends(row)[0] if row["family"] else A)
