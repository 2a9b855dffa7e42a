"""A PacketCapture of bicap.io/v1alpha1 -> what it asks for. Everything wrong is a SpecError with its path."""

from datetime import datetime

from capture.errors import SpecError
from capture.filters.expression import parse_expression
from capture.filters.podname import check_namespace
from capture.filters.rule import Direction, Endpoint, Rule
from capture.filters.ruletext import RuleText
from capture.filters.words import agreed_direction, parse_endpoint, parse_ports
from capture.manifest import schema
from capture.manifest.asked import Asked
from capture.manifest.kubernetes import DIRECTIONS, POINTS
from capture.sampling.words import parse_measures, parse_sampler
from capture.selection.labels import LabelSelector, Operator, requirement
from capture.selection.selection import Selection, parse_container
from capture.storage import MinFree, parse_min_free
from capture.units import parse_duration, parse_size


class OwnPacketCapture(schema.PacketCapture):
    """The object, and what it asks for."""

    def asked(self) -> Asked:
        """What it asks for. Raises SpecError."""
        spec, namespace = self.spec, self.metadata.namespace
        sampling, limits, storage = spec.sampling, spec.limits, spec.storage
        rules = (_rule(rule, namespace, f"spec.rules[{number}]") for number, rule in enumerate(spec.rules))
        return Asked(
            interfaces=tuple(spec.target.interfaces),
            pods=_selection(spec.target, namespace),
            rules=tuple(rules),
            expression=parse_expression(spec.expression) if spec.expression else None,
            direction=_direction(spec),
            inner=spec.inner,
            icmp_errors=spec.icmp_errors,
            samplers=tuple(parse_sampler(text, "spec.sampling.samplers") for text in sampling.samplers),
            sample_seed=sampling.seed,
            keep_control=sampling.keep_control,
            headers_only=sampling.headers_only,
            snaplen=sampling.snaplen,
            on_pressure=parse_measures((one.value for one in sampling.on_pressure), "spec.sampling.onPressure"),
            count=limits.packets,
            count_forward=limits.forward_packets,
            count_reverse=limits.reverse_packets,
            max_bytes=_size(limits.bytes, "spec.limits.bytes"),
            duration_ns=_duration(limits.duration, "spec.limits.duration"),
            start_at_ns=_time(limits.start_at),
            stop_at_ns=_time(limits.stop_at),
            buffer_bytes=_size(limits.buffer, "spec.limits.buffer"),
            file_bytes=_size(storage.file_size, "spec.storage.fileSize"),
            file_ns=_duration(storage.file_time, "spec.storage.fileTime"),
            files_kept=storage.files_kept,
            compress=storage.compress,
            user=storage.user,
            min_free=_min_free(storage.min_free),
            output=storage.path,
        )


def _direction(spec: schema.Spec) -> Direction | None:
    said = f"spec.bidirectional {str(spec.bidirectional).lower()} and spec.direction {spec.direction}"
    return agreed_direction(DIRECTIONS[spec.direction] if spec.direction else None, spec.bidirectional, said)


def _selection(target: schema.Target, namespace: str) -> Selection | None:
    found = Selection(
        pods=tuple(pod.pod(f"spec.target.pods[{n}]", namespace) for n, pod in enumerate(target.pods)),
        namespaces=tuple(check_namespace(name, "spec.target.namespaces:") for name in target.namespaces),
        labels=_labels(target.selector, "spec.target.selector") if target.selector else None,
        containers=tuple(parse_container(word, "spec.target.containers:") for word in target.containers),
        everything=target.all_pods,
        point=POINTS[target.point] if target.point else None,
        wait=target.wait,
    )
    return None if found == Selection() else found


def _labels(selector: schema.Selector, where: str) -> LabelSelector:
    found = [requirement(key, Operator.IN, [value], where) for key, value in selector.match_labels.items()]
    found += [requirement(one.key, one.operator, one.values, where) for one in selector.match_expressions]
    if not found:
        raise SpecError(f"{where} is empty, and selects every pod; say allPods: true, or name namespaces")
    return LabelSelector(tuple(found))


def _rule(rule: schema.Rule, namespace: str, where: str) -> Rule:
    words = RuleText(
        source=_endpoint(rule.source, namespace, f"{where}.source"),
        destination=_endpoint(rule.destination, namespace, f"{where}.destination"),
        protocol=str(rule.protocol),
        family=rule.family,
        tcp_flags=rule.tcp_flags,
        answer_tcp_flags=rule.answer_tcp_flags,
        icmp_type=_listed(rule.icmp_types),
        answer_icmp_type=_listed(rule.answer_icmp_types),
    )
    return words.rule(f"{where}: ")


def _endpoint(side: schema.Endpoint | None, namespace: str, where: str) -> Endpoint | None:
    if side is None:
        return None
    given = [name for name in ("pod", "ip", "cidr") if getattr(side, name) is not None]
    if len(given) > 1:
        raise SpecError(f"{where}: {' and '.join(given)} do not combine; give one of them")
    ports = parse_ports(_listed(side.ports) or "", f"{where}.ports")
    if side.pod is not None:
        return Endpoint(ports=ports, pod=side.pod.pod(f"{where}.pod", namespace))
    address = side.ip or side.cidr
    if address is None:
        return Endpoint(ports=ports)
    found = parse_endpoint(address, f"{where}.{given[0]}")
    if found.network is None or found.ports or (side.ip and "/" in side.ip):
        raise SpecError(f"{where}.{given[0]} {address!r} is not {'an address' if side.ip else 'a network'} alone")
    return Endpoint(found.network, ports)


def _listed(words: list[int | str]) -> str | None:
    return ",".join(str(word) for word in words) or None


def _size(value: int | str | None, where: str) -> int | None:
    return None if value is None else parse_size(str(value), where)


def _duration(value: int | str | None, where: str) -> int | None:
    return None if value is None else parse_duration(str(value), where)


def _min_free(value: int | str | None) -> MinFree | None:
    return None if value is None else parse_min_free(str(value), "spec.storage.minFree")


def _time(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 10**9)
