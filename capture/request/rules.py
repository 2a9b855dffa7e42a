"""The rules of a document -> Rules, and back. An error is a SpecError that begins with the path of the field."""

from capture.errors import SpecError
from capture.filters.podname import DEFAULT_NAMESPACE
from capture.filters.rule import Endpoint, IcmpType, Ports, Rule
from capture.filters.ruletext import RuleText
from capture.filters.rulewords import parse_endpoint, parse_ports
from capture.request import parts
from capture.request.kubernetes import FAMILIES, PodReference
from capture.request.naming import FieldName
from capture.wire.protocols import protocol_name


def read_rules(rules: list[parts.RulePart], field: FieldName) -> tuple[Rule, ...]:
    """Return the rules of a document; pods without a namespace are in the default one."""
    return tuple(_rule(rule, field.item(number)) for number, rule in enumerate(rules))


def _rule(rule: parts.RulePart, where: str) -> Rule:
    words = RuleText(
        source=_endpoint(rule.source, f"{where}.source"),
        destination=_endpoint(rule.destination, f"{where}.destination"),
        protocol=str(rule.protocol),
        family=rule.family,
        tcp_flags=rule.tcp_flags,
        answer_tcp_flags=rule.answer_tcp_flags,
        icmp_type=_listed(rule.icmp_types),
        answer_icmp_type=_listed(rule.answer_icmp_types),
    )
    return words.rule(f"{where}: ")


def _endpoint(side: parts.EndpointPart | None, where: str) -> Endpoint | None:
    if side is None:
        return None
    given = [name for name in ("pod", "ip", "cidr") if getattr(side, name) is not None]
    if len(given) > 1:
        raise SpecError(f"{where}: {' and '.join(given)} do not combine; give one of them")
    ports = parse_ports(_listed(side.ports) or "", f"{where}.ports")
    if side.pod is not None:
        return Endpoint(ports=ports, pod=side.pod.pod(f"{where}.pod", DEFAULT_NAMESPACE))
    address = side.ip or side.cidr
    if address is None:
        return Endpoint(ports=ports)
    found = parse_endpoint(address, f"{where}.{given[0]}")
    if found.network is None or found.ports or (side.ip and "/" in side.ip):
        raise SpecError(f"{where}.{given[0]} {address!r} is not {'an address' if side.ip else 'a network'} alone")
    return Endpoint(found.network, ports)


def _listed(words: list[int | str]) -> str | None:
    return ",".join(str(word) for word in words) or None


def plain_rule(rule: Rule) -> parts.RulePart:
    """Return the rule as a part of a document; read_rules turns it into an equal rule."""
    return parts.RulePart(
        source=_plain_endpoint(rule.source),
        destination=_plain_endpoint(rule.destination),
        protocol=protocol_name(rule.protocol),
        family=FAMILIES[rule.family] if rule.family else None,
        tcp_flags=str(rule.tcp_flags) if rule.tcp_flags else None,
        answer_tcp_flags=str(rule.answer_flags) if rule.answer_flags else None,
        icmp_types=_plain_types(rule.icmp),
        answer_icmp_types=_plain_types(rule.answer_icmp or ()),
    )


def _plain_endpoint(side: Endpoint) -> parts.EndpointPart | None:
    if side == Endpoint():
        return None
    address = str(side.network.network_address) if side.network and side.host else None
    return parts.EndpointPart(
        pod=PodReference(name=side.pod.name, namespace=side.pod.namespace) if side.pod else None,
        ip=address,
        cidr=str(side.network) if side.network and not side.host else None,
        ports=[_plain_ports(ports) for ports in side.ports],
    )


def _plain_ports(ports: Ports) -> int | str:
    return ports.first if ports.first == ports.last else str(ports)


def _plain_types(types: tuple[IcmpType, ...]) -> list[int | str]:
    return [kind.type if kind.code is None else str(kind) for kind in types]
