"""Rules as expressions, impossible rules, and mirrors."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import SpecError
from capture.filters.conversations import conversation_of
from capture.filters.rule import Rule
from capture.filters.ruletext import RuleText
from capture.filters.text import rule_text, rules_text
from capture.spec import CaptureSpec
from capture.wire.direction import Direction
from testbed import generate

TEXTS = [
    (RuleText(), "(ip or ip6)", "(ip or ip6)"),
    (RuleText(protocol="tcp"), "tcp", "tcp"),
    (RuleText(family="ipv6"), "ip6", "ip6"),
    (RuleText(family="4", protocol="tcp"), "ip and tcp", "ip and tcp"),
    (RuleText(source="10.0.0.1"), "ip and src host 10.0.0.1", "ip and dst host 10.0.0.1"),
    (RuleText(destination=":80"), "dst port 80", "src port 80"),
    (
        RuleText(source="10.0.0.1:5", destination="10.1.0.0/16:80,443", protocol="tcp"),
        "tcp and src host 10.0.0.1 and src port 5 and dst net 10.1.0.0/16 and (dst port 80 or dst port 443)",
        "tcp and src net 10.1.0.0/16 and (src port 80 or src port 443) and dst host 10.0.0.1 and dst port 5",
    ),
    (RuleText(source=":1-9", protocol="udp"), "udp and src portrange 1-9", "udp and dst portrange 1-9"),
    (RuleText(protocol="47"), "(ip proto 47 or ip6 proto 47)", "(ip proto 47 or ip6 proto 47)"),
    (RuleText(protocol="icmp", icmp_type="echo"), "icmp and icmp[0] = 8", "icmp and icmp[0] = 0"),
    (
        RuleText(protocol="icmpv6", icmp_type="1/4,135"),
        "icmp6 and ((icmp6[0] = 1 and icmp6[1] = 4) or icmp6[0] = 135)",
        "icmp6 and ((icmp6[0] = 1 and icmp6[1] = 4) or icmp6[0] = 136)",
    ),
    (
        RuleText(source="10.0.0.1", protocol="tcp", tcp_flags="syn,!ack"),
        "tcp and tcp[tcpflags] & 0x12 = 0x2 and src host 10.0.0.1",
        "tcp and tcp[tcpflags] & 0x12 = 0x12 and dst host 10.0.0.1",
    ),
    (
        RuleText(source="10.0.0.1", protocol="tcp", tcp_flags="syn", answer_tcp_flags="rst"),
        "tcp and tcp[tcpflags] & 0x2 = 0x2 and src host 10.0.0.1",
        "tcp and tcp[tcpflags] & 0x4 = 0x4 and dst host 10.0.0.1",
    ),
]


@pytest.mark.parametrize(("words", "forward", "reverse"), TEXTS, ids=[case[1] for case in TEXTS])
def test_a_rule_as_tcpdump_expressions(words: RuleText, forward: str, reverse: str) -> None:
    rule = words.rule()
    assert (rule_text(rule), rule_text(rule.mirror)) == (forward, reverse)
    both = f"({forward}) or ({reverse})" if forward != reverse else forward
    assert rules_text([rule], Direction.BOTH) == both


REFUSED = [
    (
        RuleText(source="10.0.0.1", destination="::1"),
        "mixes IP families: source 10.0.0.1 is IPv4, destination ::1 is IPv6",
    ),
    (RuleText(source="::1", protocol="icmp"), "source ::1 is IPv6, protocol icmp is IPv4"),
    (RuleText(source="::1", family="4"), "source ::1 is IPv6, family is IPv4"),
    (RuleText(destination=":80", protocol="icmp"), "protocol icmp has no ports, but port 80 is given"),
    (RuleText(protocol="43"), "protocol 43 is an IPv6 extension header"),
    (RuleText(protocol="udp", tcp_flags="syn"), "TCP flags are given, but protocol is udp"),
    (RuleText(protocol="tcp", answer_tcp_flags="syn"), "give both"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[case[1] for case in REFUSED])
def test_an_impossible_rule_is_refused_with_the_reason(words: RuleText, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        words.rule("rule 3: ")
    assert str(caught.value).startswith("rule 3: ")
    assert message in str(caught.value)


def test_overlapping_directions_are_refused_with_both_rules() -> None:
    there = RuleText(source="10.0.0.1:5", destination="10.0.0.2:80", protocol="tcp").rule()
    with pytest.raises(SpecError, match=r"rule 2 .* is the reverse of rule 1"):
        CaptureSpec(interfaces=("lo",), rules=(there, there.mirror))
    CaptureSpec(interfaces=("lo",), rules=(there, there.mirror), direction=Direction.FORWARD)
    CaptureSpec(interfaces=("lo",), rules=(RuleText(protocol="tcp").rule(), RuleText(protocol="udp").rule()))


def random_rule(seed: int) -> Rule:
    return generate.rule(Random(seed))


@given(st.integers())
def test_law_the_mirror_of_the_mirror_is_the_rule(seed: int) -> None:
    rule = random_rule(seed)
    assert rule.mirror.mirror == rule


@given(st.integers())
def test_law_a_conversation_and_its_reverse_have_one_canonical_form(seed: int) -> None:
    rule = random_rule(seed)
    if rule.exact:
        there, back = conversation_of(rule), conversation_of(rule.mirror)
        assert there.canonical == back.canonical
        assert there.rule == rule
