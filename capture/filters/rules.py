"""Five-tuple rules -> C over the canonical tuple, and -> the tcpdump expression of each direction.

A rule with two exact endpoints is put in canonical order here, so that the program compares once and has both
directions; wildcards are tried both ways round.
"""

from collections.abc import Callable, Sequence
from ipaddress import ip_network

from capture.spec import WITH_PORTS, Direction, Endpoint, Network, Rule

WANTED = {Direction.BOTH: "FORWARD | REVERSE", Direction.FORWARD: "FORWARD", Direction.REVERSE: "REVERSE"}
_NAMED = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"}


def filter_header(rules: Sequence[Rule], direction: Direction) -> str:
    """The text of filter.h. No rules: everything matches."""
    head = f"#define WANTED ({WANTED[direction]})\n#define MATCH_EVERYTHING {int(not rules)}\n"
    return head + (_match_rules(rules) if rules else "")


def _match_rules(rules: Sequence[Rule]) -> str:
    tests = "".join(f"    /* {rule} */\n{_rule_test(rule)}" for rule in rules)
    return (
        "static __always_inline u32 match_rules(const struct tuple *tuple) {\n"
        f"    u32 source = 0;\n{tests}    return source;\n}}\n"
    )


def _rule_test(rule: Rule) -> str:
    common = _protocol_tests(rule)
    sides = {
        "LOW_IS_SOURCE": _side_tests("low", rule.source) + _side_tests("high", rule.destination),
        "HIGH_IS_SOURCE": _side_tests("high", rule.source) + _side_tests("low", rule.destination),
    }
    if _exact(rule.source) and _exact(rule.destination):
        only = "LOW_IS_SOURCE" if _order(rule.source) <= _order(rule.destination) else "HIGH_IS_SOURCE"
        if rule.source != rule.destination:
            sides = {only: sides[only]}
    return "".join(
        f"    if ({' && '.join([*common, *tests]) or '1'})\n        source |= {side};\n"
        for side, tests in sides.items()
    )


def _exact(side: Endpoint) -> bool:
    network = side.network
    return network is not None and network.prefixlen == network.max_prefixlen and side.port is not None


def _order(side: Endpoint) -> tuple[int, int]:
    assert side.network is not None
    assert side.port is not None
    return int(side.network.network_address), side.port


def _protocol_tests(rule: Rule) -> list[str]:
    tests = [f"tuple->family == {rule.family}"] if rule.family else []
    if rule.protocol is not None:
        tests.append(f"tuple->protocol == {rule.protocol}")
    elif rule.source.port is not None or rule.destination.port is not None:
        tests.append("(" + " || ".join(f"tuple->protocol == {number}" for number in sorted(WITH_PORTS)) + ")")
    return tests


def _side_tests(name: str, side: Endpoint) -> list[str]:
    tests = _network_tests(name, side.network) if side.network else []
    if side.port is not None:
        tests.append(f"tuple->{name}.port == {side.port}")
    return tests


def _network_tests(name: str, network: Network) -> list[str]:
    words = network.max_prefixlen // 32
    address, mask = int(network.network_address), int(network.netmask)
    tests = []
    for index in range(words):
        shift = 32 * (words - 1 - index)
        word, bits = address >> shift & 0xFFFFFFFF, mask >> shift & 0xFFFFFFFF
        value = f"tuple->{name}.address[{index}]"
        if bits == 0xFFFFFFFF:
            tests.append(f"{value} == {word:#x}")
        elif bits:
            tests.append(f"({value} & {bits:#x}) == {word:#x}")
    return tests


def expression(rules: Sequence[Rule], direction: Direction) -> str:
    """The tcpdump expression that matches the same packets; "" where everything matches."""
    if not rules:
        return ""
    ways: list[Callable[[Rule], str]] = []
    if direction is not Direction.REVERSE:
        ways.append(rule_expression)
    if direction is not Direction.FORWARD:
        ways.append(lambda rule: rule_expression(mirror(rule)))
    parts = list(dict.fromkeys(way(rule) for way in ways for rule in rules))
    return " or ".join(f"({part})" for part in parts) if len(parts) > 1 else parts[0]


def mirror(rule: Rule) -> Rule:
    """The rule of the answers."""
    return Rule(rule.destination, rule.source, rule.protocol)


def rule_expression(rule: Rule) -> str:
    """One rule, one direction, in pcap-filter(7)."""
    parts = []
    family = {4: "ip", 6: "ip6"}.get(rule.family or 0)
    ports = rule.source.port is not None or rule.destination.port is not None
    if rule.protocol is not None:
        named = _NAMED.get(rule.protocol)
        if named in ("icmp", "icmp6") or (named and family is None):
            parts.append(named)
        elif family:
            parts.append(f"{family} proto {rule.protocol}")
        else:
            parts.append(f"(ip proto {rule.protocol} or ip6 proto {rule.protocol})")
    elif family:
        parts.append(family)
    elif not ports:
        parts.append("(ip or ip6)")
    for word, side in (("src", rule.source), ("dst", rule.destination)):
        if side.network is not None:
            exact = side.network.prefixlen == side.network.max_prefixlen
            kind = "host" if exact else "net"
            parts.append(f"{word} {kind} {side.network.network_address if exact else ip_network(side.network)}")
        if side.port is not None:
            parts.append(f"{word} port {side.port}")
    return " and ".join(parts)
