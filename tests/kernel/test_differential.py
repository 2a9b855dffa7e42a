"""Random rules and expressions on random packets: the kernel programs against libpcap, and against the mirror.

BICAP_SEED chooses the cases and BICAP_CASES sets how many programs are tried; both are in pytest's header. A
disagreement is shrunk before it is shown: rules, parts of the expression and bytes of the packet are dropped.
"""

import functools
from collections.abc import Callable, Sequence
from itertools import count, islice
from random import Random

import pytest

from capture.errors import FilterError
from capture.filters import cbpf
from capture.filters.expression import Expression, parse_expression
from capture.filters.filter_h import filter_program
from capture.filters.mirror import mirror_text
from capture.filters.rule import Rule
from capture.filters.text import rule_text
from capture.wire.direction import Direction
from testbed import generate
from tests import oracle
from tests.conftest import CASES, SEED
from tests.kernel.verdicts import NEITHER, REVERSE, runnable, verdict_of, verdicts
from tests.shrink import smallest, smallest_packet

PACKETS = 500
SHARDS = 10
"""Tests of each kind: compiling takes most of the time, and workers share it."""

Disagreements = list[tuple[bytes, str, str]]


def random_packets(random: Random) -> list[bytes]:
    packets = (generate.packet(random, number) for number in count())
    return list(islice(filter(runnable, packets), PACKETS))


def expected_of_rules(rules: Sequence[Rule], packet: bytes) -> str:
    """Return libpcap's verdict on the part of the packet that rules see, rule by rule.

    If a packet is too short for one rule, that rejects it for this rule only.
    """
    seen = oracle.plain(packet)
    if seen is None:
        return NEITHER
    forward = any(oracle.matches(rule_text(rule), seen) for rule in rules)
    return verdict_of(forward, any(oracle.matches(rule_text(rule.mirror), seen) for rule in rules))


def rules_disagree(rules: Sequence[Rule], packets: Sequence[bytes]) -> Disagreements:
    # Errors about a packet, and fragments whose first one was seen, are found by design where libpcap has no words:
    # test_layers.py has them. Identifications are unique here.
    program = filter_program(rules, icmp_errors=False)
    found = verdicts(program, packets)
    return [(p, v, e) for p, v in zip(packets, found, strict=True) if v != (e := expected_of_rules(rules, p))]


def expected_of_expression(expression: Expression, packet: bytes) -> str:
    """Return libpcap's verdict with `(forward) or (reverse)`; if the mirror has no text, on the mirrored bytes."""
    forward = oracle.matches(expression.text(Direction.FORWARD), packet)
    if expression.mirrored is not None:
        return verdict_of(forward, oracle.matches(expression.mirrored, packet))
    mirrored = oracle.mirror(packet)
    return verdict_of(forward, mirrored is not None and oracle.matches(expression.source, mirrored))


def _steps(packet: bytes) -> int:
    """Return the headers that `protochain` follows in a packet or in its mirror, whichever are more."""
    return max(len(oracle.protochain(one)) for one in (packet, oracle.mirror(packet) or b""))


def expression_disagrees(expression: Expression, packets: Sequence[bytes]) -> Disagreements:
    if "protochain" in expression.source:
        packets = [packet for packet in packets if _steps(packet) <= cbpf.LOOPS_MAX]
    found = verdicts(filter_program(expression=expression), packets)
    return [
        (p, v, e) for p, v in zip(packets, found, strict=True) if v != (e := expected_of_expression(expression, p))
    ]


def report(what: str, failing: Callable[[Sequence[bytes]], Disagreements], wrong: Disagreements) -> str:
    """Return a report with the smallest packet that still disagrees."""

    def disagreeing(packets: Sequence[bytes]) -> list[bytes]:
        return [packet for packet, *_ in failing([one for one in packets if runnable(one)])]

    packet = smallest_packet(min((packet for packet, *_ in wrong), key=len), disagreeing)
    ((packet, found, expected),) = failing([packet])
    return f"seed {SEED}: {what}\n  packet {packet.hex()}\n  kernel says {found}, libpcap {expected}"


def try_rules(shard: int) -> str:
    """Try one shard of the cases. Returns the first disagreement, shrunk, or ""."""
    random = Random(f"{SEED} rules {shard}")
    for _ in range(CASES // 2 // SHARDS):
        rules = [generate.rule(random) for _ in range(random.choice((1, 1, 2, 6, 14)))]
        packets = random_packets(random)
        if not rules_disagree(rules, packets):
            continue
        for at in range(len(rules) - 1, -1, -1):
            rest = rules[:at] + rules[at + 1 :]
            if rest and rules_disagree(rest, packets):
                rules = rest
        what = "; ".join(f"{rule} ({rule_text(rule)})" for rule in rules)
        return report(what, functools.partial(rules_disagree, rules), rules_disagree(rules, packets))
    return ""


def try_expressions(shard: int) -> str:
    """Try one shard of the cases, as try_rules does."""
    random = Random(f"{SEED} expressions {shard}")
    for _ in range(CASES // 2 // SHARDS):
        expression = next(e for _ in count() if (e := random_expression(random)) is not None)
        wrong = expression_disagrees(expression, random_packets(random))
        if wrong:
            packets = [packet for packet, *_ in wrong]
            expression = parse_expression(smallest(expression.source, functools.partial(is_disagreed, packets)))
            what = f"{expression.source!r}, mirrored {expression.mirrored!r}"
            wrong = expression_disagrees(expression, packets)
            return report(what, functools.partial(expression_disagrees, expression), wrong)
    return ""


def is_disagreed(packets: Sequence[bytes], text: str) -> bool:
    """True if the text is an expression that disagrees about one of the packets."""
    try:
        return bool(expression_disagrees(parse_expression(text), packets))
    except FilterError:
        return False


FOUND = {
    "the last header's length leads out of the packet, to where nothing changes places": (
        "((not ((sctp src and dst portrange 8050-8050) or (not (arp[6:2] = 2)))) and (ip6 protochain 6)) or "
        "((src and dst net fd00::/61) or ((tcp[tcpflags] & 1 != 0) or (ip[14:4] = 0x00010a00) or (tcp[13] = 16)) or "
        "((ether[0] & 1 = 1) or (net 2000::/3) or (ether dst 02:00:00:00:00:01)))",
        "02000000000202000000000186ddf2934e3787cf2c5cea23e9b3070f6a2110691993226b6eccecf965c4bb2175fc7c3011211ce07460"
        "0000000000000029fe40ac99804d03c7",
        REVERSE,
    ),
}
"""Expressions and packets about which program and libpcap once disagreed: (expression, packet in hex, verdict)."""


@pytest.mark.parametrize(("text", "packet", "verdict"), FOUND.values(), ids=FOUND)
def test_earlier_disagreements_are_settled(text: str, packet: str, verdict: str) -> None:
    expression, frame = parse_expression(text), bytes.fromhex(packet)
    assert expected_of_expression(expression, frame) == verdict
    assert not expression_disagrees(expression, [frame])


@pytest.mark.random
@pytest.mark.parametrize("kind", [try_rules, try_expressions])
@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_programs_match_what_libpcap_matches(kind: Callable[[int], str], shard: int) -> None:
    wrong = kind(shard)
    assert not wrong, wrong


def random_expression(random: Random) -> Expression | None:
    """Return an expression, None if it contradicts itself (libpcap refuses those), or too large for the verifier."""
    text = generate.expression(random)
    if text.count("protochain") > 2:
        return None
    try:
        return parse_expression(text)
    except FilterError as error:
        refusal = str(error)
    assert refusal.endswith("rejects all packets"), refusal
    return None


@pytest.mark.random
def test_the_mirrored_text_matches_a_packet_as_the_text_matches_its_mirror() -> None:
    random = Random(f"{SEED} mirrors")
    packets = [generate.packet(random, number) for number in range(2000)]
    whole = [(p, m) for p in packets if (m := oracle.mirror(p)) is not None]
    compared = 0
    for _ in range(CASES):
        expression = random_expression(random)
        if expression is None or expression.mirrored is None:
            continue
        # By design: a computed index reaches the ports only where a header's length lies; and behind `vlan` libpcap
        # counts a tag further, also in packets that have none, so that accessors reach into other fields.
        if "tcp[((" in expression.source or "vlan" in expression.source:
            continue
        for packet, mirrored in random.sample(whole, 100):
            if "protochain" in expression.source and not walks_straight(packet, mirrored):
                continue
            if oracle.matches(expression.mirrored, packet) != oracle.matches(expression.source, mirrored):
                failed = smallest(expression.source, functools.partial(is_mirrored_wrong, packet, mirrored))
                pytest.fail(f"seed {SEED}: {failed!r} mirrored is {mirror_text(failed)!r}; packet {packet.hex()}")
            compared += 1
    assert compared > 1000


def walks_straight(*packets: bytes) -> bool:
    """True if `protochain` ends, and reads nothing but extension headers: see oracle.protochain."""
    return all(51 not in oracle.protochain(packet) for packet in packets)


def is_mirrored_wrong(packet: bytes, mirrored: bytes, text: str) -> bool:
    """True if the text's mirror gives another verdict on a packet than the text gives on the packet's mirror."""
    try:
        mirror = parse_expression(text).mirrored
    except FilterError:
        return False
    return mirror is not None and oracle.matches(mirror, packet) != oracle.matches(text, mirrored)
