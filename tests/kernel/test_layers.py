"""Packets that a strict five-tuple misses and rules match: each difference to libpcap that is by design.

Each case is packets in their order, and for each whether it matches and in which direction.
"""

from dataclasses import dataclass

import pytest

from capture.filters.conversations import parse_conversations
from capture.filters.expression import parse_expression
from capture.filters.filter_h import filter_program
from capture.filters.rule import Rule
from capture.filters.ruletext import RuleText
from capture.wire.direction import Direction
from testbed import packets
from tests import oracle
from tests.kernel.harness import Programs
from tests.kernel.verdicts import FORWARD, NEITHER, REVERSE, verdict, verdicts

A, B, R = "10.0.0.1", "10.0.0.2", "10.9.9.9"
A6, B6, R6 = "fd00::1", "fd00::2", "fd00::99"

HTTP = RuleText(source=A, destination=f"{B}:80", protocol="tcp").rule()
HTTP6 = RuleText(source=A6, destination=f"[{B6}]:80", protocol="tcp").rule()
DNS = RuleText(source=f"{A}:1000", destination=f"{B}:53", protocol="udp").rule()
DNS6 = RuleText(source=f"[{A6}]:1000", destination=f"[{B6}]:53", protocol="udp").rule()
PING = RuleText(source=A, destination=B, protocol="icmp", icmp_type="echo-request").rule()
HOSTS = RuleText(source=A, destination=B).rule()

REQUEST, ANSWER = packets.tcp(A, 1000, B, 80), packets.tcp(B, 80, A, 1000)
REQUEST6, ANSWER6 = packets.tcp(A6, 1000, B6, 80), packets.tcp(B6, 80, A6, 1000)
OTHER = packets.tcp(A, 1000, B, 81)
QUERY, QUERY6 = packets.udp(A, 1000, B, 53, b"q" * 64), packets.udp(A6, 1000, B6, 53, b"q" * 64)
REPLY = packets.udp(B, 53, A, 1000, b"r" * 64)


@dataclass(frozen=True)
class LayerCase:
    """A rule, packets in order, and the verdict on each."""

    what: str
    rule: Rule
    packets: tuple[tuple[bytes, str], ...]
    inner: bool = False


CASES = [
    LayerCase("a tag in the bytes", HTTP, (
        (packets.vlan(ANSWER, (0x8100, 5)), REVERSE),
        (packets.vlan(OTHER, (0x8100, 5)), NEITHER),
    )),
    LayerCase("QinQ, both EtherTypes", HTTP, (
        (packets.vlan(REQUEST, (0x88A8, 5), (0x8100, 6)), FORWARD),
        (packets.vlan(REQUEST, (0x9100, 5), (0x8100, 6)), FORWARD),
    )),
    LayerCase("a third tag is not looked behind", HTTP, ((packets.vlan(REQUEST, *[(0x8100, 5)] * 3), NEITHER),)),
    LayerCase("IPv4 options", HTTP, ((packets.with_options(REQUEST, 10), FORWARD),)),
    LayerCase("IPv6 extension headers", HTTP6, (
        (packets.with_extensions(REQUEST6, packets.hop_by_hop(), (60, b"\x01" + bytes(14))), FORWARD),
        (packets.with_extensions(ANSWER6, (43, bytes(7)), (51, b"\x04" + bytes(22))), REVERSE),
        (packets.with_extensions(ANSWER6, packets.fragment_header(0, False)), REVERSE),
        (packets.with_extensions(ANSWER6, *[packets.hop_by_hop()] * 8), REVERSE),
        (packets.with_extensions(ANSWER6, *[packets.hop_by_hop()] * 9), NEITHER),
    )),
    LayerCase("later fragments, after the first", DNS, (
        (packets.fragment(QUERY, 0, True, 77), FORWARD),
        (packets.fragment(QUERY, 9, True, 77), FORWARD),
        (packets.fragment(QUERY, 18, False, 77), FORWARD),
        (packets.fragment(QUERY, 18, False, 78), NEITHER),
        (packets.fragment(REPLY, 0, True, 77), REVERSE),
        (packets.fragment(REPLY, 9, False, 77), REVERSE),
    )),
    LayerCase("later fragments of IPv6", DNS6, (
        (packets.fragment(QUERY6, 0, True, 0x12345678), FORWARD),
        (packets.fragment(QUERY6, 9, False, 0x12345678), FORWARD),
        (packets.fragment(QUERY6, 9, False, 0x02345678), NEITHER),
    )),
    LayerCase("a later fragment that overtook the first is not found", DNS, (
        (packets.fragment(QUERY, 9, False, 5), NEITHER),
        (packets.fragment(QUERY, 0, True, 5), FORWARD),
    )),
    LayerCase("a rule without ports finds fragments in any order", HOSTS, (
        (packets.fragment(QUERY, 9, False, 5), FORWARD),
        (packets.fragment(REPLY, 0, True, 5), REVERSE),
    )),
    LayerCase("fragments of another's datagram", DNS, (
        (packets.fragment(OTHER, 0, True, 3), NEITHER),
        (packets.fragment(OTHER, 9, False, 3), NEITHER),
    )),
    LayerCase("an ICMP error goes against the packet it is about", HTTP, (
        (packets.icmp_error(R, REQUEST, 3, 4), REVERSE),
        (packets.icmp_error(R, ANSWER, 11), FORWARD),
        (packets.icmp_error(R, REQUEST[:42], 3, 3), REVERSE),
        (packets.icmp_error(R, OTHER, 3, 4), NEITHER),
        (packets.icmp(A, B, 8, REQUEST[14:]), NEITHER),
    )),
    LayerCase("an ICMPv6 error", HTTP6, (
        (packets.icmp_error(R6, REQUEST6, 2), REVERSE),
        (packets.icmp_error(R6, ANSWER6, 3), FORWARD),
        (packets.icmp_error(R6, packets.with_extensions(REQUEST6, packets.hop_by_hop()), 1, 4), REVERSE),
        (packets.icmp_error(R6, REQUEST6, 128), NEITHER),
    )),
    LayerCase("an error about an echo request", PING, (
        (packets.icmp(A, B, 8), FORWARD),
        (packets.icmp(B, A, 0), REVERSE),
        (packets.icmp(B, A, 8), NEITHER),
        (packets.icmp_error(R, packets.icmp(A, B, 8)), REVERSE),
    )),
    LayerCase("tunnels are closed without --inner", HTTP, (
        (packets.vxlan((R, R), REQUEST), NEITHER),
        (packets.ip_in_ip((R, R), REQUEST), NEITHER),
    )),
    LayerCase("the packet inside", HTTP, (
        (packets.vxlan((R, R), REQUEST), FORWARD),
        (packets.vxlan((R6, R6), ANSWER, port=8472), REVERSE),
        (packets.vxlan((R, R), packets.vlan(ANSWER, (0x8100, 1))), REVERSE),
        (packets.vxlan((R, R), OTHER), NEITHER),
        (packets.geneve((R, R), REQUEST), FORWARD),
        (packets.geneve((R, R), REQUEST, options=bytes(16)), FORWARD),
        (packets.gre((R, R), ANSWER), REVERSE),
        (packets.gre((R, R), ANSWER, key=True, ethernet_inside=True), REVERSE),
        (packets.ip_in_ip((R, R), REQUEST), FORWARD),
        (packets.ip_in_ip((R6, R6), REQUEST), FORWARD),
        (packets.vxlan((R, R), packets.icmp_error(R, REQUEST)), REVERSE),
        (packets.ethernet(0x0800, REQUEST[14:]), FORWARD),
    ), inner=True),
    LayerCase("IPv6 in IPv4", HTTP6, (
        (packets.ip_in_ip((R, R), ANSWER6), REVERSE),
        (packets.gre((R6, R6), REQUEST6), FORWARD),
    ), inner=True),
    LayerCase("cut short within the ports, nothing that asks for ports matches", HTTP, (
        (packets.vlan(REQUEST, (0x8100, 1))[:40], NEITHER),
    )),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_by_design(case: LayerCase) -> None:
    program = filter_program([case.rule], inner=case.inner)
    assert list(verdicts(program, [packet for packet, _ in case.packets])) == [verdict for _, verdict in case.packets]


def test_errors_can_be_left_out() -> None:
    assert list(verdicts(filter_program([HTTP], icmp_errors=False), [packets.icmp_error(R, REQUEST)])) == [NEITHER]


def test_a_list_matches_both_directions_errors_and_fragments_and_can_change() -> None:
    conversations = parse_conversations(
        "list", [f"udp {A}:1000 {B}:53", f"tcp [{B6}]:80 > [{A6}]:1000", f"icmp {B} {A}"]
    )
    frames = [
        QUERY, REPLY, ANSWER6, REQUEST6, packets.icmp(A, B), packets.udp(A, 1000, B, 54), packets.tcp(A, 1000, B, 53),
        packets.icmp_error(R, QUERY), packets.fragment(QUERY, 0, True, 9), packets.fragment(QUERY, 9, False, 9),
    ]  # fmt: skip
    expected = [FORWARD, REVERSE, FORWARD, REVERSE, REVERSE, NEITHER, NEITHER, REVERSE, FORWARD, FORWARD]
    with Programs(filter_program(conversations=conversations)) as programs:
        assert [verdict(programs, frame) for frame in frames] == expected
        assert programs.conversations.replace(
            parse_conversations("list", [f"udp {B}:53 {A}:1000"]).conversations
        ) == (
            1,
            2,
        )  # one of them stays, the other way round
        assert [verdict(programs, frame) for frame in frames[:3]] == [REVERSE, FORWARD, NEITHER]


def test_an_exact_rule_stays_when_the_list_beside_it_changes() -> None:
    conversations = parse_conversations("list", [f"udp {A}:1000 {B}:53"])
    exact = RuleText(source=f"{A}:1000", destination=f"{B}:80", protocol="tcp").rule()
    with Programs(filter_program([exact], conversations=conversations)) as programs:
        assert [verdict(programs, frame) for frame in (REQUEST, QUERY)] == [FORWARD, FORWARD]
        programs.conversations.replace(())
        assert [verdict(programs, frame) for frame in (REQUEST, QUERY)] == [FORWARD, NEITHER]


def test_many_exact_rules_are_looked_up_and_match_as_a_few_do() -> None:
    rules = [RuleText(source=f"{A}:{port}", destination=f"{B}:80", protocol="tcp").rule() for port in range(1, 40)]
    frames = [f for port in (1, 39, 40) for f in (packets.tcp(A, port, B, 80), packets.tcp(B, 80, A, port))]
    many, few = filter_program(rules), filter_program([rules[0], rules[38]])
    assert (len(many.exact), len(few.exact)) == (39, 0)
    assert list(verdicts(many, frames)) == list(verdicts(few, frames)) == [FORWARD, REVERSE] * 2 + [NEITHER] * 2


@pytest.mark.parametrize("frame", [packets.vlan(REQUEST, (0x8100, 5)), packets.fragment(REQUEST, 9, False)])
def test_an_expression_finds_what_libpcap_finds_and_no_more(frame: bytes) -> None:
    assert not oracle.matches("tcp port 80", frame)
    assert list(verdicts(filter_program(expression=parse_expression("tcp port 80")), [frame])) == [NEITHER]


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("src host 10.0.0.1 and tcp dst port 80", "dst host 10.0.0.1 and tcp src port 80"),
        ("ether[26:4] = 0x0a000001 and tcp[2:2] = 80", None),
    ],
)
def test_an_expression_matches_the_answers(text: str, mirrored: str | None) -> None:
    expression = parse_expression(text)
    assert expression.mirrored == mirrored
    frames = [REQUEST, ANSWER, OTHER]
    both, forward, reverse = (
        list(verdicts(filter_program(direction=direction, expression=expression), frames)) for direction in Direction
    )
    assert both == [FORWARD, REVERSE, NEITHER]
    assert forward == [FORWARD, NEITHER, NEITHER]
    assert reverse == [NEITHER, REVERSE, NEITHER]


def _leading_far(protocol: int, units: int, size: int) -> bytes:
    """Return a packet to fd00::1 with a destination options header whose length field is 8 * (1 + units) bytes.

    `size` bytes follow the IPv6 header.
    """
    return packets.ip("2001:db8::9", "fd00::1", 60, bytes([protocol, units]) + bytes(size - 2))


@pytest.mark.parametrize(
    ("frame", "mirrored"),
    [
        pytest.param(_leading_far(41, 255, 8), True, id="cut, and nothing there changes places"),
        pytest.param(_leading_far(41, 255, 2100), True, id="beyond the head, and nothing there changes places"),
        pytest.param(_leading_far(6, 0, 30), True, id="ports"),
        pytest.param(_leading_far(6, 7, 68), True, id="ports at the head's end"),
        pytest.param(_leading_far(6, 8, 100), False, id="ports beyond the head"),
        pytest.param(_leading_far(6, 255, 8), False, id="ports cut"),
        pytest.param(_leading_far(58, 255, 2100), False, id="an ICMP type beyond the head"),
        pytest.param(_leading_far(58, 255, 8), False, id="an ICMP type cut"),
        pytest.param(_leading_far(60, 255, 2100), False, id="another header beyond the head"),
        pytest.param(_leading_far(60, 255, 8), False, id="another header cut"),
        pytest.param(_leading_far(60, 1, 12), False, id="another header cut in the head"),
    ],
)
def test_a_packet_has_a_mirror_if_the_head_has_all_exchanged_fields(frame: bytes, mirrored: bool) -> None:
    expression = parse_expression("ether[22:2] = 0xfd00")
    assert expression.mirrored is None
    assert (oracle.mirror(frame) is not None) == mirrored
    assert list(verdicts(filter_program(expression=expression), [frame])) == [REVERSE if mirrored else NEITHER]
