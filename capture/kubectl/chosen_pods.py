"""What targets name, as the API server knows it -> the `target` and the `rules` of a capture's spec.

A target alone becomes a selector where it has one, so pods that come later belong to it. With another end, `--to`,
conversations are between pods by their names: those that there are now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from capture.errors import SpecError, TargetError
from capture.kubectl.target_words import TargetWord

RULES_MAX = 64
"""Most rules between pods: each is code in the program that looks at every packet."""


@dataclass(frozen=True, slots=True)
class NamedPod:
    """A pod that there is now."""

    namespace: str
    name: str
    node: str = ""
    ip: str = ""
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A target, its namespace, its selector (None for a pod), the pods that it has now, and a service's addresses."""

    word: TargetWord
    namespace: str
    selector: Mapping[str, Any] | None = None
    pods: tuple[NamedPod, ...] = ()
    addresses: tuple[str, ...] = ()


def selector_of(word: TargetWord, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the LabelSelector of an object. Raises TargetError if it has none."""
    selector = found.get("spec", {}).get("selector") or {}
    if word.kind == "service":
        selector = {"matchLabels": selector} if selector else {}
    if not selector:
        raise TargetError(f"{word} has no selector, so it has no pods of its own; name the pods")
    return {key: selector[key] for key in ("matchLabels", "matchExpressions") if selector.get(key)}


def selector_text(selector: Mapping[str, Any]) -> str:
    """Return a LabelSelector as kubectl's -l takes it."""
    texts = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for one in selector.get("matchExpressions", ()):
        key, values = one["key"], ",".join(one.get("values", ()))
        form = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        texts.append(form.get(one["operator"], f"!{key}"))
    return ",".join(texts)


def service_addresses(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the addresses of a service that stand for its pods; a headless one has none."""
    spec = found.get("spec", {})
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP", "")]
    return tuple(one for one in addresses if one and one != "None")


def target_part(targets: Sequence[Resolved], cluster: bool) -> dict[str, Any]:
    """Return the `target` of a spec for targets without another end. Raises SpecError."""
    if not targets:
        return {}
    named = [one for one in targets if one.selector is None and one.word.kind == "pod"]
    spaces = [one for one in targets if one.word.kind == "namespace"]
    chosen = [one for one in targets if one.selector is not None]
    if len(chosen) > 1 or (chosen and (named or spaces)) or (named and spaces):
        texts = " and ".join(str(one.word) for one in targets)
        raise SpecError(f"{texts} do not combine; capture one of them, pods by name, or labels with -l")
    if named:
        return {"pods": [pod_reference(one.namespace, one.word.name) for one in named]}
    if spaces:
        return {"namespaces": [one.word.name for one in spaces]}
    (only,) = chosen
    assert only.selector is not None
    return {"selector": dict(only.selector)} | ({"namespaces": [only.namespace]} if cluster else {})


def pod_reference(namespace: str, name: str) -> dict[str, str]:
    """Return a reference to a pod in a spec."""
    return {"name": name, "namespace": namespace}


def pairs(sources: Sequence[Resolved], ends: Sequence[Resolved]) -> list[dict[str, Any]]:
    """Return a rule for each pod and each other end. Raises TargetError, SpecError."""
    rules: list[dict[str, Any]] = []
    here = [pod for one in sources for pod in _pods(one)]
    for end in ends:
        there = _pods(end) if end.word.kind != "service" or not end.addresses else list(end.pods)
        ports = {"ports": _ports(end.word.ports)} if end.word.ports else {}
        for source, pod in product(here, there):
            if source != pod:
                to = {"pod": pod_reference(pod.namespace, pod.name)} | ({} if end.addresses else ports)
                rules.append(_rule(source, to))
        rules += [_rule(source, {"ip": ip} | ports) for source, ip in product(here, end.addresses)]
    if len(rules) > RULES_MAX:
        raise SpecError(
            f"{len(rules)} pairs of pods are more than {RULES_MAX} rules; name pods, or give --to as a network"
        )
    return rules


def _rule(source: NamedPod, destination: dict[str, Any]) -> dict[str, Any]:
    return {"source": {"pod": pod_reference(source.namespace, source.name)}, "destination": destination}


def _pods(one: Resolved) -> Sequence[NamedPod]:
    if not one.pods:
        raise TargetError(f"{one.word} has no pods in namespace {one.namespace} now; conversations are between pods")
    return one.pods


def _ports(text: str) -> list[int | str]:
    return [int(port) if port.isdigit() else port for port in text.split(",")]
