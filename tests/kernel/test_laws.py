"""Laws of matching in both directions, on random rules and packets, in the kernel's own programs.

    match(p) = match(mirror(p))
    direction(p) != direction(mirror(p)), unless the rule fits p both ways round
    with hooks exchanged too, a capture sees the mirrored conversation

A packet's mirror has its two ends exchanged (tests/oracle.py), and no more: TCP flags are not among that, so rules
that ask for flags which another set answers are left out.
"""

from random import Random

import pytest

from capture.filters.filter_h import filter_program
from capture.filters.rule import Rule
from capture.filters.text import rule_text
from testbed import generate
from tests import oracle
from tests.conftest import CASES, SEED
from tests.kernel.harness import Programs
from tests.kernel.verdicts import FORWARD, NEITHER, REVERSE, runnable, verdict

OTHER_WAY = {FORWARD: REVERSE, REVERSE: FORWARD, NEITHER: NEITHER}


def lawful_rule(random: Random) -> Rule:
    while True:
        rule = generate.rule(random)
        if rule.tcp_flags == rule.mirror.tcp_flags:
            return rule


def pairs(random: Random, count: int) -> list[tuple[bytes, bytes]]:
    """Return packets and their mirrors; IPv6 without extension headers, as the oracle does not skip all kinds."""
    found: list[tuple[bytes, bytes]] = []
    while len(found) < count:
        packet = generate.packet(random, len(found))
        mirrored = oracle.mirror(packet)
        if mirrored is not None and runnable(packet) and oracle.extension_headers(packet) == 0:
            found.append((packet, mirrored))
    return found


def fits_both_ways(rule: Rule, packet: bytes) -> bool:
    seen = oracle.plain(packet)
    return seen is not None and all(oracle.matches(rule_text(one), seen) for one in (rule, rule.mirror))


@pytest.mark.random
def test_a_packet_and_its_mirror_match_alike_and_in_opposite_directions() -> None:
    random = Random(f"{SEED} laws")
    matched = 0
    for _ in range(max(5, CASES // 12)):
        rule = lawful_rule(random)
        with Programs(filter_program([rule], icmp_errors=False)) as programs:
            for packet, mirrored in pairs(random, 100):
                there, back = verdict(programs, packet), verdict(programs, mirrored)
                context = f"seed {SEED}: {rule}; {packet.hex()} is {there}, {mirrored.hex()} is {back}"
                if fits_both_ways(rule, packet):
                    assert there == back == FORWARD, context
                else:
                    assert back == OTHER_WAY[there], context
                assert verdict(programs, mirrored, "to_pod") == OTHER_WAY[there], context
                matched += there != NEITHER
    assert matched > CASES // 25  # a law about packets that never match says little
