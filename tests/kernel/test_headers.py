"""--headers-only: the exact bytes that are kept of each kind of packet, with its original length."""

import struct
from random import Random
from typing import Any

import pytest

from capture.filters.expression import parse_expression
from capture.filters.ruletext import RuleText
from capture.spec import SNAPLEN_MAX
from testbed import generate, packets
from tests.conftest import SEED
from tests.kernel.sampler_runs import counts, sampled
from tests.kernel.verdicts import runnable

A, B, R = "10.0.0.1", "10.0.0.2", "10.9.9.9"
A6, B6, R6 = "fd00::1", "fd00::2", "fd00::99"
ETHERNET, TAG, IPV4, IPV6, TCP, UDP, ICMP, SCTP, ARP = 14, 4, 20, 40, 20, 8, 8, 12, 28
QUOTED = 8
"""The first 8 bytes of a transport header, which every ICMP error has: the ports, and 4 bytes more."""
PAYLOAD = b"secret" * 50


def tcp_with(options: int, source: str = A, destination: str = B, words: int | None = None) -> bytes:
    """Return a TCP packet with `options` words of options; its header has `words` as its length, right or wrong."""
    length = 5 + options if words is None else words
    header = struct.pack("!HHIIBBHHH", 1000, 80, 1, 1, length << 4, 0x18, 65535, 0, 0) + b"\x01" * (4 * options)
    return packets.ip(source, destination, packets.TCP, header + PAYLOAD)


REQUEST, REQUEST6 = tcp_with(0), tcp_with(0, A6, B6)
QUERY, QUERY6 = packets.udp(A, 1000, B, 53, PAYLOAD), packets.udp(A6, 1000, B6, 53, PAYLOAD)
SHORT_ARP = packets.ethernet(0x0806, b"\0\1\x08\0" + bytes(20))
CHUNKS = struct.pack("!HHII", 1000, 2000, 1, 0) + PAYLOAD

CASES = [
    # what, the packet, the bytes kept of it
    ("TCP", REQUEST, ETHERNET + IPV4 + TCP),
    ("TCP with options", tcp_with(3), ETHERNET + IPV4 + TCP + 12),
    ("TCP with as many options as fit", tcp_with(10), ETHERNET + IPV4 + 60),
    ("TCP over IPv6 with options", tcp_with(3, A6, B6), ETHERNET + IPV6 + TCP + 12),
    ("TCP that says less than a header", tcp_with(0, words=2), ETHERNET + IPV4 + TCP),
    ("TCP without payload", packets.tcp(A, 1, B, 2), ETHERNET + IPV4 + TCP),
    ("UDP", QUERY, ETHERNET + IPV4 + UDP),
    ("UDP over IPv6", QUERY6, ETHERNET + IPV6 + UDP),
    ("a large packet", packets.udp(A, 1, B, 2, bytes(3000)), ETHERNET + IPV4 + UDP),
    ("IPv4 options", packets.with_options(QUERY, 10), ETHERNET + IPV4 + 40 + UDP),
    ("SCTP", packets.ip(A, B, 132, CHUNKS), ETHERNET + IPV4 + SCTP),
    ("SCTP over IPv6", packets.ip(A6, B6, 132, CHUNKS), ETHERNET + IPV6 + SCTP),
    ("a ping", packets.icmp(A, B, 8, PAYLOAD), ETHERNET + IPV4 + ICMP),
    ("a ping over IPv6", packets.icmp(A6, B6, 128, PAYLOAD), ETHERNET + IPV6 + ICMP),
    ("another protocol over IP", packets.ip(A, B, 50, PAYLOAD), ETHERNET + IPV4),
    ("another protocol over IPv6", packets.ip(A6, B6, 47, PAYLOAD), ETHERNET + IPV6),
    ("extension headers", packets.with_extensions(QUERY6, packets.hop_by_hop(), (60, b"\x01" + bytes(14))),
     ETHERNET + IPV6 + 8 + 16 + UDP),
    ("an authentication header", packets.with_extensions(REQUEST6, (51, b"\x04" + bytes(22))),
     ETHERNET + IPV6 + 24 + TCP),
    ("more extension headers than are walked", packets.with_extensions(QUERY6, *[packets.hop_by_hop()] * 9),
     ETHERNET + IPV6 + 64),
    ("an ICMP error", packets.icmp_error(R, REQUEST), ETHERNET + IPV4 + ICMP + IPV4 + QUOTED),
    ("an ICMP error about UDP with options", packets.icmp_error(R, packets.with_options(QUERY, 2)),
     ETHERNET + IPV4 + ICMP + IPV4 + 8 + QUOTED),
    ("an ICMP error about a ping", packets.icmp_error(R, packets.icmp(A, B, 8, PAYLOAD), 11),
     ETHERNET + IPV4 + ICMP + IPV4 + QUOTED),
    ("an ICMPv6 error", packets.icmp_error(R6, REQUEST6, 2), ETHERNET + IPV6 + ICMP + IPV6 + QUOTED),
    ("an ICMPv6 error about extension headers",
     packets.icmp_error(R6, packets.with_extensions(QUERY6, packets.hop_by_hop()), 3),
     ETHERNET + IPV6 + ICMP + IPV6 + 8 + QUOTED),
    ("an ICMP error about a later fragment", packets.icmp_error(R, packets.fragment(QUERY, 9, False)),
     ETHERNET + IPV4 + ICMP + IPV4),
    ("an ICMP error that quotes too little", packets.icmp_error(R, REQUEST[:30]), ETHERNET + IPV4 + ICMP),
    ("a tag", packets.vlan(REQUEST, (0x8100, 5)), ETHERNET + TAG + IPV4 + TCP),
    ("two tags", packets.vlan(QUERY6, (0x88A8, 5), (0x8100, 6)), ETHERNET + 2 * TAG + IPV6 + UDP),
    ("a third tag is not looked behind", packets.vlan(REQUEST, *[(0x8100, 5)] * 3), ETHERNET + 2 * TAG),
    ("ARP, padded", packets.arp() + bytes(18), ETHERNET + ARP),
    ("ARP in a tag", packets.vlan(packets.arp(), (0x8100, 5)) + bytes(18), ETHERNET + TAG + ARP),
    ("another EtherType", packets.ethernet(0x88B5, PAYLOAD), ETHERNET),
    ("a first fragment", packets.fragment(QUERY, 0, True), ETHERNET + IPV4 + UDP),
    ("a later fragment", packets.fragment(QUERY, 9, True), ETHERNET + IPV4),
    ("a later fragment of IPv6", packets.fragment(QUERY6, 9, False), ETHERNET + IPV6 + 8),
    ("cut short within TCP", REQUEST[:44], 44),
    ("cut short within TCP's options", tcp_with(10)[:70], 70),
    ("cut short within the ports", QUERY[:36], 36),
    ("cut short behind IP", QUERY[:34], 34),
    ("cut short within IPv4's options", packets.with_options(QUERY, 10)[:40], 40),
    ("cut short within an extension header", packets.with_extensions(QUERY6, packets.hop_by_hop())[:58],
     ETHERNET + IPV6),
    ("cut short within IP, in a tag", packets.vlan(QUERY, (0x8100, 5))[:30], ETHERNET + TAG),
    ("cut short within a quoted header", packets.icmp_error(R, REQUEST[:38]), ETHERNET + IPV4 + ICMP + 24),
    ("cut short within ARP", SHORT_ARP, len(SHORT_ARP)),
    ("cut short within a tag", packets.vlan(QUERY, (0x8100, 5))[:15], 15),
    ("cut short within a second tag", packets.vlan(QUERY, (0x88A8, 5), (0x8100, 6))[:19], 19),
]  # fmt: skip


MATCHING: dict[str, dict[str, Any]] = {
    "everything": {},
    "an expression": {"expression": parse_expression("not ether host 02:02:02:02:02:02")},
}


@pytest.mark.parametrize("samplers", [(), ("flow:1/1", "rate:1000gbit")], ids=["all", "sampled"])
@pytest.mark.parametrize("matching", MATCHING)
def test_headers_are_kept_and_no_payload(matching: str, samplers: tuple[str, ...]) -> None:
    with sampled(*samplers, headers_only=True, snaplen=SNAPLEN_MAX, **MATCHING[matching]) as programs:
        for what, frame, kept in CASES:
            record = programs.run(frame)
            assert record is not None, what
            assert record.packet == frame[:kept], what
            assert record.original == len(frame), what
        found = programs.counters()["forward"]
        assert (found["matched"], found["cut"]) == (len(CASES), 0)  # what was asked for is no cut


RULED = [
    # what, the rule, the packet, the bytes kept
    ("the packet", RuleText(source=A, destination=f"{B}:80", protocol="tcp"), REQUEST, ETHERNET + IPV4 + TCP),
    ("an answer", RuleText(source=B, destination=A), QUERY, ETHERNET + IPV4 + UDP),
    ("an error about it", RuleText(source=A, destination=f"{B}:80", protocol="tcp"),
     packets.icmp_error(R, REQUEST), ETHERNET + IPV4 + ICMP + IPV4 + QUOTED),
    ("an error that matches itself", RuleText(source=R, protocol="icmp"),
     packets.icmp_error(R, REQUEST), ETHERNET + IPV4 + ICMP),
]  # fmt: skip


@pytest.mark.parametrize(("what", "rule", "frame", "kept"), RULED, ids=[case[0] for case in RULED])
def test_with_rules_the_layer_that_matched_is_the_last_one_kept(
    what: str, rule: RuleText, frame: bytes, kept: int
) -> None:
    with sampled(headers_only=True, snaplen=SNAPLEN_MAX, rules=[rule.rule()]) as programs:
        record = programs.run(frame)
        assert record is not None
        assert record.packet == frame[:kept]


@pytest.mark.parametrize(("snaplen", "kept"), [(18, 18), (53, 53), (55, 54)])
def test_snaplen_cuts_headers_too(snaplen: int, kept: int) -> None:
    with sampled(headers_only=True, snaplen=snaplen) as programs:
        record = programs.run(REQUEST)
        assert record is not None
        assert (record.packet, record.original) == (REQUEST[:kept], len(REQUEST))


@pytest.mark.random
def test_any_bytes_are_captured_from_their_beginning_with_their_true_length() -> None:
    random = Random(f"{SEED} headers")
    frames = [frame for number in range(3000) if runnable(frame := generate.packet(random, number))]
    with sampled(headers_only=True, snaplen=SNAPLEN_MAX) as programs:
        for frame in frames:
            record = programs.run(frame)
            assert record is not None, f"seed {SEED}: {frame.hex()}"
            assert record.packet == frame[: max(ETHERNET, len(record.packet))], f"seed {SEED}: {frame.hex()}"
            assert record.original == len(frame)
        assert counts(programs)["matched"] == len(frames)
