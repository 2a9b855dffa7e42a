"""Conversations and captures -> their numbers."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from capture.lake.identity import Origin, community_id, place_of
from capture.wire.addresses import halves
from capture.wire.protocols import PROTOCOLS
from tests.unit.lake.capture_origin import origin

# https://github.com/corelight/community-id-spec, baseline/baseline_deflt.json
KNOWN = [
    ("tcp", "128.232.110.120", 34855, "66.35.250.204", 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    ("udp", "192.168.1.52", 54585, "8.8.8.8", 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    ("icmp", "192.168.0.89", 0, "192.168.0.1", 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    ("sctp", "192.168.170.8", 7, "192.168.170.56", 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
]


@pytest.mark.parametrize(("protocol", "one", "one_port", "other", "other_port", "expected"), KNOWN)
def test_it_is_that_of_the_specification_in_both_directions(
    protocol: str, one: str, one_port: int, other: str, other_port: int, expected: str
) -> None:
    ends = [(*halves(int(ip_address(address))), port) for address, port in ((one, one_port), (other, other_port))]
    assert community_id(4, PROTOCOLS[protocol], *ends) == expected
    if protocol != "icmp":  # who asks is known
        assert community_id(4, PROTOCOLS[protocol], *ends[::-1]) == expected


def test_a_packet_without_ip_has_none() -> None:
    assert community_id(0, 0, (0, 0, 0), (0, 0, 0)) is None


def test_a_captures_number_is_of_its_path_and_first_packet() -> None:
    def number(place: str, first_ns: int | None) -> str:
        return Origin("x", place, origin().points, origin().completeness, first_ns).number

    assert number("/a", 1) == number("/a", 1)
    assert len({number("/a", 1), number("/a", 2), number("/b", 1), number("/a", None)}) == 4


def test_its_path_is_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web.pcapng").touch()
    monkeypatch.chdir(tmp_path)
    assert place_of(["web.pcapng"]) == place_of([str(tmp_path / "web.pcapng")]) == str(tmp_path / "web.pcapng")
