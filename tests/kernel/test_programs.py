"""A packet in, a record and counts out: the programs as the kernel runs them."""

import pytest

from capture.abi import INBOUND, OUTBOUND, REVERSE
from capture.filters.filter_h import filter_program
from capture.filters.rule import Endpoint, Rule
from capture.filters.rulewords import parse_endpoint
from capture.wire.direction import Direction
from testbed import packets
from tests.kernel.harness import Programs

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
A6, B6 = "2001:db8::1", "2001:db8::2"


def rule(source: str | None = None, destination: str | None = None, protocol: int | None = None) -> Rule:
    def side(text: str | None) -> Endpoint:
        return parse_endpoint(text, "test") if text else Endpoint()

    return Rule(source=side(source), destination=side(destination), protocol=protocol)


def test_without_rules_every_packet_is_kept_whole_and_flagged_by_side() -> None:
    with Programs(filter_program(), slot=3) as programs:
        for frame in (packets.arp(), packets.tcp(A, 1, B, 2), packets.icmp(A6, B6), b"\0" * 14):
            out, back = programs.run(frame, "from_pod"), programs.run(frame, "to_pod")
            assert out is not None
            assert back is not None
            assert (out.packet, back.packet) == (frame, frame)
            assert (out.flags, back.flags) == (OUTBOUND, INBOUND | REVERSE)
            assert out.interface == 3
            assert out.original == len(frame)
            assert out.time < back.time
        counters = programs.counters("from_pod")
        assert (counters["seen"], counters["unmatched"], counters["forward"]["matched"]) == (4, 0, 4)


RULES = [
    # description, rule, packet, the direction in which it matches (None: it does not)
    ("exact, as asked", rule(f"{A}:1000", f"{B}:80", 6), packets.tcp(A, 1000, B, 80), "forward"),
    ("exact, answered", rule(f"{A}:1000", f"{B}:80", 6), packets.tcp(B, 80, A, 1000), "reverse"),
    ("exact, high to low, as asked", rule(f"{B}:80", f"{A}:1000", 6), packets.tcp(B, 80, A, 1000), "forward"),
    ("exact, high to low, answered", rule(f"{B}:80", f"{A}:1000", 6), packets.tcp(A, 1000, B, 80), "reverse"),
    ("another port", rule(f"{A}:1000", f"{B}:80", 6), packets.tcp(A, 1001, B, 80), None),
    ("another protocol", rule(f"{A}:1000", f"{B}:80", 6), packets.udp(A, 1000, B, 80), None),
    ("another host", rule(f"{A}:1000", f"{B}:80", 6), packets.tcp(A, 1000, C, 80), None),
    ("server port, request", rule(None, ":80"), packets.tcp(A, 1000, B, 80), "forward"),
    ("server port, answer", rule(None, ":80"), packets.tcp(B, 80, A, 1000), "reverse"),
    ("server port is not the client's", rule(f"{A}", ":80", 6), packets.tcp(A, 80, B, 1000), None),
    ("network", rule("10.0.0.0/30", None), packets.udp(A, 5, "192.0.2.1", 6), "forward"),
    ("network, answer", rule("10.0.0.0/30", None), packets.udp("192.0.2.1", 5, A, 6), "reverse"),
    ("outside the network", rule("10.0.0.0/31", None), packets.udp(B, 5, C, 6), None),
    ("IPv6 exact", rule(f"[{A6}]:9", f"[{B6}]:53", 17), packets.udp(B6, 53, A6, 9), "reverse"),
    ("IPv6 network", rule("2001:db8::/33", None), packets.icmp(A6, "fe80::1", 128), "forward"),
    ("IPv6 rule, IPv4 packet", rule(A6, None), packets.tcp(A, 1, B, 2), None),
    ("protocol of both families", rule(protocol=6), packets.tcp(A6, 1, B6, 2), "forward"),
    ("icmp", rule(A, B, 1), packets.icmp(B, A, 0), "reverse"),
    ("icmpv6 is not icmp", rule(protocol=1), packets.icmp(A6, B6), None),
    ("no IP", rule(protocol=6), packets.arp(), None),
    ("too short for the ports asked for", rule(None, ":2", 6), packets.tcp(A, 1, B, 2)[:37], None),
    ("any port without a protocol is not ICMP", rule(None, ":80"), packets.icmp(A, B), None),
]


@pytest.mark.parametrize(("what", "wanted", "frame", "expected"), RULES, ids=[case[0] for case in RULES])
def test_rule(what: str, wanted: Rule, frame: bytes, expected: str | None) -> None:
    with Programs(filter_program([wanted])) as programs:
        record = programs.run(frame)
        found = None if record is None else ("reverse" if record.flags & REVERSE else "forward")
        assert found == expected
        counters = programs.counters()
        assert counters["seen"] == 1
        assert counters["unmatched"] == (expected is None)
        assert counters["forward"]["matched"] == (expected == "forward")
        assert counters["reverse"]["matched_bytes"] == (len(frame) if expected == "reverse" else 0)


@pytest.mark.parametrize(
    ("direction", "kept"), [(Direction.FORWARD, [True, False]), (Direction.REVERSE, [False, True])]
)
def test_a_capture_of_one_direction_keeps_only_that(direction: Direction, kept: list[bool]) -> None:
    frames = [packets.tcp(A, 1000, B, 80), packets.tcp(B, 80, A, 1000)]
    with Programs(filter_program([rule(A, f"{B}:80", 6)], direction)) as programs:
        assert [programs.run(frame) is not None for frame in frames] == kept


@pytest.mark.parametrize("snaplen", [18, 64, 96])
def test_snaplen_cuts_the_bytes_and_keeps_the_length(snaplen: int) -> None:
    frame = packets.udp(A, 1, B, 2, bytes(range(200)))
    with Programs(filter_program(), snaplen=snaplen) as programs:
        record = programs.run(frame)
        assert record is not None
        assert record.packet == frame[:snaplen]
        assert record.original == len(frame)
