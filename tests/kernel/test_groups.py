"""Rules that name pods, and interfaces that pods share with their node: addresses change while programs run."""

from ipaddress import ip_address

import pytest

from capture.abi import GROUP_NODE, GROUP_PODS
from capture.errors import SpecError
from capture.filters.expression import parse_expression
from capture.filters.filter_h import ADDRESSES_MAX, PODS_MAX, filter_program
from capture.filters.ruletext import RuleText
from testbed import packets
from tests.kernel.harness import Programs
from tests.kernel.verdicts import FORWARD, NEITHER, REVERSE, verdict

WEB, WEB6, API, OTHER = "10.244.0.2", "fd00:244::2", "10.244.0.3", "10.244.0.9"
NODE, NODE6 = "192.0.2.1", "2001:db8::1"
IS_WEB, IS_API, IS_NODE = 1 << GROUP_PODS, 1 << (GROUP_PODS + 1), 1 << GROUP_NODE

WEB_TO_API = RuleText(source="shop/web-0", destination="bank/api-0:80", protocol="tcp").rule()
WEB_TO_ANY = RuleText(source="shop/web-0").rule()


def addresses(**groups: int) -> dict[object, int]:
    """Return the groups of addresses, which are given by the names above."""
    return {ip_address(globals()[name]): bits for name, bits in groups.items()}


def test_a_rule_between_pods_matches_both_ways_with_the_addresses_they_have_now() -> None:
    request, answer = packets.tcp(WEB, 1000, API, 80), packets.tcp(API, 80, WEB, 1000)
    with Programs(filter_program([WEB_TO_API])) as programs:
        assert verdict(programs, request) == NEITHER  # neither pod is there yet
        programs.groups.replace(addresses(WEB=IS_WEB, API=IS_API))
        assert verdict(programs, request) == FORWARD
        assert verdict(programs, answer) == REVERSE
        assert verdict(programs, packets.tcp(WEB, 1000, API, 81)) == NEITHER
        assert verdict(programs, packets.tcp(API, 1000, WEB, 80)) == NEITHER
        assert verdict(programs, packets.tcp(OTHER, 1000, API, 80)) == NEITHER

        programs.groups.replace(addresses(OTHER=IS_WEB, API=IS_API))  # the pod was made again
        assert verdict(programs, request) == NEITHER
        assert verdict(programs, packets.tcp(OTHER, 1000, API, 80)) == FORWARD


def test_every_address_of_a_pod_matches() -> None:
    with Programs(filter_program([WEB_TO_ANY])) as programs:
        programs.groups.replace(addresses(WEB=IS_WEB, WEB6=IS_WEB))
        assert verdict(programs, packets.udp(WEB, 1, "192.0.2.9", 53)) == FORWARD
        assert verdict(programs, packets.udp("2001:db8::9", 53, WEB6, 1)) == REVERSE


def test_an_ipv4_address_is_not_the_ipv6_address_of_the_same_number() -> None:
    with Programs(filter_program([WEB_TO_ANY])) as programs:
        programs.groups.replace(addresses(WEB=IS_WEB))
        assert verdict(programs, packets.udp(f"::{WEB}", 1, "2001:db8::9", 53)) == NEITHER


def test_a_pod_that_talks_to_itself_matches() -> None:
    rule = RuleText(source="shop/web-0", destination="shop/web-0:80").rule()
    with Programs(filter_program([rule])) as programs:
        programs.groups.replace(addresses(WEB=IS_WEB))
        assert verdict(programs, packets.tcp(WEB, 1000, WEB, 80)) == FORWARD
        assert verdict(programs, packets.tcp(WEB, 80, WEB, 1000)) == REVERSE


def test_an_icmp_error_about_a_conversation_of_pods_matches() -> None:
    error = packets.icmp_error(OTHER, packets.tcp(WEB, 1000, API, 80))
    with Programs(filter_program([WEB_TO_API])) as programs:
        programs.groups.replace(addresses(WEB=IS_WEB, API=IS_API))
        assert verdict(programs, error) == REVERSE


SHARED = {
    "everything": {},
    "rules": {"rules": [RuleText(protocol="tcp").rule()]},
    "expression": {"expression": parse_expression("tcp or icmp")},
    "everything, sampled": {"asks_flow": True, "asks_control": True},
}


@pytest.mark.parametrize("fields", SHARED.values(), ids=SHARED.keys())
def test_on_a_shared_interface_only_packets_of_the_node_match(fields: dict[str, object]) -> None:
    own = [packets.tcp(NODE, 1000, API, 80), packets.tcp(API, 80, NODE, 1000), packets.tcp(NODE6, 1, WEB6, 80)]
    error = packets.icmp_error(OTHER, packets.tcp(NODE, 1000, API, 80))
    forwarded = packets.tcp(WEB, 1000, API, 80)
    with Programs(filter_program(shared=True, **fields), shared=True) as programs:
        programs.groups.replace(addresses(NODE=IS_NODE, NODE6=IS_NODE))
        assert all(programs.run(packet) for packet in [*own, error])
        assert programs.run(forwarded) is None
        assert programs.counters()["unmatched"] == 1


@pytest.mark.parametrize("fields", SHARED.values(), ids=SHARED.keys())
def test_on_a_pods_own_interface_the_same_programs_ignore_the_nodes_addresses(fields: dict[str, object]) -> None:
    with Programs(filter_program(shared=True, **fields)) as programs:
        assert programs.run(packets.tcp(WEB, 1000, API, 80)) is not None


def test_too_many_pods_and_addresses_are_refused() -> None:
    rules = [RuleText(source=f"shop/web-{number}").rule() for number in range(PODS_MAX + 1)]
    with pytest.raises(SpecError, match="64 pods; at most 63"):
        filter_program(rules)
    with Programs(filter_program(rules[:-1])) as programs:
        with pytest.raises(SpecError, match="4,097 addresses; at most 4,096"):
            programs.groups.replace({ip_address(number): 1 for number in range(ADDRESSES_MAX + 1)})
        programs.groups.replace(addresses(WEB=1 << PODS_MAX))
        assert verdict(programs, packets.tcp(WEB, 1, API, 80)) == FORWARD
