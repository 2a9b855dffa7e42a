"""Rules -> the tcpdump expression (pcap-filter(7)) that matches the same packets.

Rules match more than these expressions can describe: packets in VLAN tags and behind IPv6 extension headers, later
fragments, and ICMP errors.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network

from capture.errors import SpecError
from capture.filters.podname import PodName
from capture.filters.rule import Address, Endpoint, Ports, Rule
from capture.wire.direction import Direction
from capture.wire.protocols import ICMP, ICMPV6, SCTP, TCP, UDP

_NAMED = {ICMP: "icmp", TCP: "tcp", UDP: "udp", ICMPV6: "icmp6", SCTP: "sctp"}
_FAMILIES = {4: "ip", 6: "ip6"}
_TCP_FLAGS_IN_IPV6 = 40 + 13


def rules_text(rules: Sequence[Rule], direction: Direction) -> str:
    """Return the expression for all rules in these directions; "" if every packet matches."""
    ways: list[Sequence[Rule]] = []
    if direction is not Direction.REVERSE:
        ways.append(rules)
    if direction is not Direction.FORWARD:
        ways.append([rule.mirror for rule in rules])
    return any_of([rule_text(rule) for way in ways for rule in way])


def spelled_out(rules: Sequence[Rule], addresses: Mapping[PodName, Sequence[Address]]) -> tuple[Rule, ...]:
    """Return the rules with addresses in place of pod names; a rule about a pod without addresses is left out."""
    return tuple(copy for rule in rules for copy in _spelled_out(rule, addresses))


def _spelled_out(rule: Rule, addresses: Mapping[PodName, Sequence[Address]]) -> Iterator[Rule]:
    sides = [
        [side]
        if side.pod is None
        else [Endpoint(ip_network(address), side.ports) for address in addresses.get(side.pod, ())]
        for side in (rule.source, rule.destination)
    ]
    for source, destination in itertools.product(*sides):
        with contextlib.suppress(SpecError):  # the address of one side is of another IP family
            yield replace(rule, source=source, destination=destination)


def any_of(parts: Sequence[str]) -> str:
    """Return alternatives as one expression, without repetitions."""
    once = list(dict.fromkeys(parts))
    return " or ".join(f"({part})" for part in once) if len(once) > 1 else "".join(once)


def rule_text(rule: Rule) -> str:
    """Return the expression for one rule in its own direction."""
    parts = _kind(rule)
    if rule.tcp_flags:
        parts.append(_flags(rule))
    for word, side in (("src", rule.source), ("dst", rule.destination)):
        parts += _side(word, side)
    if rule.icmp:
        parts.append(_either([_icmp(_NAMED[rule.protocol or 0], kind.type, kind.code) for kind in rule.icmp]))
    return " and ".join(parts)


def _kind(rule: Rule) -> list[str]:
    family = _FAMILIES.get(rule.family or 0)
    if rule.protocol is None:
        if family:
            return [family]
        return [] if rule.source.ports or rule.destination.ports else ["(ip or ip6)"]
    named = _NAMED.get(rule.protocol)
    if named is None:
        return [
            f"({family or 'ip'} proto {rule.protocol}" + ("" if family else f" or ip6 proto {rule.protocol}") + ")"
        ]
    address = rule.source.network or rule.destination.network
    return [named] if family is None or address or rule.protocol in (ICMP, ICMPV6) else [family, named]


def _side(word: str, side: Endpoint) -> list[str]:
    parts = []
    if side.network is not None:
        parts.append(f"{word} host {side.network.network_address}" if side.host else f"{word} net {side.network}")
    if side.ports:
        parts.append(_either([_ports(word, span) for span in side.ports]))
    return parts


def _ports(word: str, span: Ports) -> str:
    return f"{word} port {span}" if span.first == span.last else f"{word} portrange {span}"


def _flags(rule: Rule) -> str:
    flags = rule.tcp_flags
    assert flags is not None
    ways = {
        4: f"tcp[tcpflags] & {flags.mask:#x} = {flags.value:#x}",
        6: f"ip6[6] = {TCP} and ip6[{_TCP_FLAGS_IN_IPV6}] & {flags.mask:#x} = {flags.value:#x}",
    }
    if rule.family:
        return ways[rule.family]
    return f"(({ways[4]}) or ({ways[6]}))"


def _icmp(name: str, kind: int, code: int | None) -> str:
    test = f"{name}[0] = {kind}"
    return test if code is None else f"({test} and {name}[1] = {code})"


def _either(parts: Sequence[str]) -> str:
    return f"({' or '.join(parts)})" if len(parts) > 1 else parts[0]
