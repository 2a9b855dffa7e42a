"""The CEL rules of the CRDs refuse what admission refuses, and nothing that it accepts."""

import random
from typing import Any

import pytest

from capture.cluster.admission import admitted, checked_spec
from capture.cluster.crds import definitions, ruled
from capture.errors import SpecError
from capture.request.own import CLUSTER_KIND, KIND
from tests.unit.cluster.cel_rules import compile_typed, refusals, schema_rules, with_defaults

SCHEMAS = {
    kind: ruled(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for kind, definition in definitions().items()
}
RULES = [(kind, *rule) for kind in (KIND, CLUSTER_KIND) for rule in schema_rules(SCHEMAS[kind])]

SELECTOR = {"selector": {"matchLabels": {"app": "web"}}}
POD = {"name": "web", "namespace": "shop"}
TO_POD, FROM_POD = {"destination": {"pod": POD}}, {"source": {"pod": POD}}
TARGETS: list[dict[str, Any]] = [
    {},
    SELECTOR,
    {"selector": {}},
    {"selector": {"matchLabels": {}, "matchExpressions": []}},
    {"selector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}},
    {"selector": {"matchExpressions": [{"key": "a", "operator": "NotIn"}]}},
    {"selector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": []}]}},
    {"selector": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist", "values": ["b"]}]}},
    {"pods": [POD]},
    {"pods": [{"name": "web"}]},
    {"pods": []},
    {"namespaces": ["shop"]},
    {"namespaces": []},
    {"containers": ["web"]},
    {"allPods": True},
    {"allPods": False},
    {"interfaces": ["eth0"]},
    {"interfaces": ["eth0", "eth1", "eth0"]},
    {"netns": "blue"},
    {"point": "Source"},
    {"point": "Destination"},
    {"point": "Both"},
    {"wait": True},
]
PARTS: list[dict[str, Any]] = [
    {"rules": []},
    {"rules": [{}]},
    {"rules": [TO_POD]},
    {"rules": [FROM_POD]},
    {"rules": [FROM_POD, {"destination": {"pod": {"name": "db", "namespace": "shop"}}}]},
    {"rules": [FROM_POD | {"destination": {"ip": "10.0.0.1"}}]},
    {"conversations": {"tuples": ["tcp 10.0.0.1:4000 10.0.0.2:80"]}},
    {"expression": "port 80"},
    {"inner": True},
    {"bidirectional": True},
    {"bidirectional": False},
    *({"direction": word} for word in ("SourceToDestination", "DestinationToSource", "Both")),
    {"reasons": False},
    {"record": {}},
    {"record": {"before": "20s", "memory": "64Mi"}},
    {"record": {"kept": 5}, "store": {"name": "prod"}},
    {"triggers": []},
    {"triggers": ["handshake=unanswered"]},
    *({"limits": {f"{way}Packets": 5}} for way in ("forward", "reverse")),
    {"limits": {"startAt": "2026-11-30T10:00:00Z", "stopAt": "2026-11-30T11:00:00Z"}},
    {"sampling": {"headersOnly": True}},
    *({"sampling": {"onPressure": words}} for words in (["truncate"], ["lose"], ["truncate", "sample", "lose"])),
    *({"storage": {"filesKept": 3} | more} for more in ({"fileSize": "1Mi"}, {"fileTime": "1h"})),
    {"storage": {"unique": False}},
]
ANY, NAMESPACED, CLUSTER = (KIND, CLUSTER_KIND), (KIND,), (CLUSTER_KIND,)
WITH_POD = {"target": SELECTOR}
FORTH, BACK = ({"limits": {f"{way}Packets": 5}} for way in ("forward", "reverse"))
BROKEN: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    (ANY, {}, "spec.target chooses no pods"),
    (ANY, {"target": {"pods": []}, "rules": [{"source": {"ip": "10.0.0.1"}}]}, "spec.target chooses no pods"),
    (ANY, WITH_POD | {"expression": "port 80", "rules": [{}]}, "rules and an expression"),
    (
        ANY,
        WITH_POD | {"expression": "tcp", "conversations": {"tuples": ["tcp 10.0.0.1:1 10.0.0.2:2"]}},
        "rules and an",
    ),
    (ANY, WITH_POD | {"expression": "port 80", "inner": True}, "inner is for rules"),
    (ANY, WITH_POD | {"bidirectional": True, "direction": "SourceToDestination"}, "bidirectional and direction"),
    (ANY, WITH_POD | {"bidirectional": False, "direction": "Both"}, "bidirectional and direction"),
    (ANY, WITH_POD | FORTH | {"direction": "DestinationToSource"}, "limits.forwardPackets is never reached"),
    (ANY, WITH_POD | BACK | {"direction": "SourceToDestination"}, "limits.reversePackets is never reached"),
    (ANY, WITH_POD | BACK | {"bidirectional": False}, "limits.reversePackets is never reached"),
    (ANY, WITH_POD | {"inner": True, "sampling": {"headersOnly": True}}, "inner keeps whole packets"),
    (ANY, WITH_POD | {"inner": True, "sampling": {"onPressure": ["truncate"]}}, "inner keeps whole packets"),
    (
        ANY,
        {"target": {"pods": [POD], "point": "Source"}, "rules": [TO_POD]},
        "target.point needs a rule whose source",
    ),
    (ANY, {"target": SELECTOR | {"point": "Source"}, "rules": [TO_POD]}, "target.point needs a rule whose source"),
    (
        ANY,
        {"target": SELECTOR | {"point": "Destination"}, "rules": [FROM_POD]},
        "target.point needs a rule whose destination",
    ),
    (ANY, {"target": {"point": "Both"}, "rules": [FROM_POD]}, "target.point needs a rule whose destination"),
    (ANY, {"rules": [FROM_POD, {"destination": {"pod": POD}}]}, "a rule names a pod, but not at the end"),
    (CLUSTER, {"target": {"interfaces": ["eth0"], "wait": True}}, "target.wait is for pods"),
    (ANY, {"target": SELECTOR | {"pods": [POD]}}, "name pods or containers, or select"),
    (ANY, {"target": SELECTOR | {"containers": ["web"]}}, "name pods or containers, or select"),
    (CLUSTER, {"target": {"pods": [POD], "allPods": True}}, "name pods or containers, or select"),
    (ANY, {"target": {"pods": [POD], "namespaces": ["shop"]}}, "namespaces does not combine with pods"),
    (CLUSTER, {"target": {"allPods": True, "namespaces": ["shop"]}}, "allPods means those of all namespaces"),
    (CLUSTER, {"target": {"interfaces": ["eth0", "eth1", "eth0"]}}, "an interface is given twice"),
    (ANY, {"target": {"selector": {}}}, "the selector is empty"),
    (ANY, {"target": {"selector": {"matchLabels": {}, "matchExpressions": []}}}, "the selector is empty"),
    (
        ANY,
        {"target": {"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}},
        "In and NotIn need values",
    ),
    (
        ANY,
        {"target": {"selector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}}},
        "In ",
    ),
    (ANY, {"rules": [{"source": {"pod": POD, "ip": "10.0.0.1"}}]}, "pod, ip and cidr do not combine"),
    (ANY, WITH_POD | {"rules": [{"destination": {"ip": "10.0.0.1", "cidr": "10.0.0.0/8"}}]}, "pod, ip and cidr"),
    (CLUSTER, {"target": {"pods": [{"name": "web"}]}}, "the namespace of a pod must be given"),
    (CLUSTER, {"rules": [{"source": {"pod": {"name": "web"}}}]}, "the namespace of a pod must be given"),
    (CLUSTER, {"rules": [{"destination": {"pod": {"name": "web"}}}]}, "the namespace of a pod must be given"),
    (ANY, WITH_POD | {"conversations": {"file": "/etc/shadow"}}, "file: a cluster has no such file"),
    (ANY, WITH_POD | {"conversations": {"tuples": []}}, "conversations is empty"),
    (ANY, WITH_POD | {"sampling": {"onPressure": ["sample", "sample"]}}, "onPressure has a measure twice"),
    (ANY, WITH_POD | {"sampling": {"onPressure": ["lose", "sample"]}}, "onPressure: lose must be the last"),
    (
        ANY,
        WITH_POD | {"limits": {"startAt": "2026-11-30T10:00:00Z", "stopAt": "2026-11-30T11:00:00+02:00"}},
        "stopAt is not after startAt",
    ),
    (ANY, WITH_POD | {"storage": {"filesKept": 3}}, "filesKept needs fileSize or fileTime"),
    (NAMESPACED, {"target": SELECTOR | {"interfaces": ["eth0"]}}, "interfaces: more than pods of a namespace"),
    (NAMESPACED, {"target": {"allPods": True}}, "allPods: more than pods of a namespace"),
    (NAMESPACED, {"target": SELECTOR | {"netns": "blue"}}, "netns: more than pods of a namespace"),
    (ANY, WITH_POD | {"storage": {"path": "/etc/shadow"}}, "path: the agent of each node"),
    (ANY, WITH_POD | {"storage": {"unique": True}}, "unique: files of a cluster"),
    (ANY, WITH_POD | {"storage": {"user": "root"}}, "user: files belong to the agent"),
    *(
        (ANY, WITH_POD | {"store": {name: value}}, f"{name}: ")
        for name, value in (
            ("url", "s3://b/x"),
            ("credentials", "/etc/shadow"),
            ("knownHosts", "/etc/hosts"),
            ("delete", True),
            ("retry", "1h"),
        )
    ),
    (ANY, WITH_POD | {"reasons": True}, "reasons: they are those of the whole node"),
    (ANY, WITH_POD | {"record": {"folder": "/etc"}}, "folder: the agent of each node names the folder"),
    (ANY, WITH_POD | {"record": {}}, "record is empty"),
    *(
        (ANY, WITH_POD | asked | more, "a recorder has none of sampling.onPressure")
        for asked in ({"record": {"before": "20s"}}, {"triggers": ["rst>0"]})
        for more in (
            {"limits": {"packets": 5}},
            {"limits": {"buffer": "8Mi"}},
            {"storage": {"fileTime": "1h"}},
            {"sampling": {"onPressure": ["sample"]}},
        )
    ),
]


def by_rules(kind: str, spec: dict[str, Any]) -> list[str]:
    schema = SCHEMAS[kind]
    return [*refusals(schema, with_defaults(schema, {"metadata": {"name": "c"}, "spec": spec}))]


def by_admission(kind: str, spec: dict[str, Any]) -> str | None:
    try:
        checked_spec(admitted(kind, "c", "shop" if kind == KIND else "", spec))
    except SpecError as error:
        return str(error)
    return None


def combined(picks: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for pick in picks:
        for name, value in pick.items():
            spec[name] = spec.get(name, {}) | value if isinstance(value, dict) else value
    return spec


def specs(count: int) -> list[dict[str, Any]]:
    """Combinations of targets and parts, the same each time; most of them have more than one fault, or none."""
    chance = random.Random(20)
    found = []
    for _ in range(count):
        targets = combined([{"target": target} for target in chance.sample(TARGETS, chance.choice([1, 1, 2, 3]))])
        found.append(combined([targets, *chance.sample(PARTS, chance.choice([0, 1, 1, 2, 3]))]))
    return found


SPECS = specs(300)


@pytest.mark.parametrize(
    ("kind", "path", "node", "rule", "message"),
    RULES,
    ids=[f"{kind} {path} {said}" for kind, path, _, _, said in RULES],
)
def test_a_rule_fits_the_types_of_its_schema(
    kind: str, path: str, node: dict[str, Any], rule: str, message: str
) -> None:
    assert compile_typed(node, rule).return_type().name().lower() == "bool"
    assert len(message) <= 2048
    assert "\n" not in message


def test_a_name_that_is_not_in_the_schema_is_noticed() -> None:
    with pytest.raises(Exception, match="undefined field"):
        compile_typed(SCHEMAS[KIND]["properties"]["spec"], "has(self.target.pod)")


@pytest.mark.parametrize("kind", [KIND, CLUSTER_KIND])
def test_rules_and_admission_agree_on_every_document(kind: str) -> None:
    verdicts = [(spec, by_rules(kind, spec), by_admission(kind, spec)) for spec in SPECS]
    differing = [verdict for verdict in verdicts if bool(verdict[1]) != bool(verdict[2])]
    assert differing == []
    assert sum(1 for _, broken, _ in verdicts if not broken) > 30


@pytest.mark.parametrize(("kinds", "spec", "said"), BROKEN, ids=[str(spec) for _, spec, _ in BROKEN])
def test_a_rule_refuses_what_admission_refuses(kinds: tuple[str, ...], spec: dict[str, Any], said: str) -> None:
    for kind in kinds:
        (message,) = by_rules(kind, spec)
        assert message.startswith(said)
        assert by_admission(kind, spec)


def test_every_rule_has_a_document_that_it_alone_refuses() -> None:
    for kind, path, _, _, message in RULES:
        assert any(kind in kinds and message.startswith(said) for kinds, _, said in BROKEN), (
            f"{kind} {path}: {message}"
        )


def test_only_admission_knows_the_namespace_of_an_object() -> None:
    spec = {"target": {"pods": [{"name": "vault", "namespace": "bank"}]}}
    assert by_rules(KIND, spec) == []
    assert "pods of its own namespace" in str(by_admission(KIND, spec))


def test_rules_walk_lists_with_a_limit_only() -> None:
    """Else the API server refuses the CRD: it bounds what rules cost from the sizes of lists."""
    for kind in (KIND, CLUSTER_KIND):
        for name, node in walked(SCHEMAS[kind]):
            assert "maxItems" in node, f"{kind} {name}"


def walked(node: dict[str, Any], path: str = "", rules: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return the lists that a rule at or above them walks, and those whose items have rules."""
    rules += " ".join(rule["rule"] for rule in node.get("x-kubernetes-validations", ()))
    found = []
    for name, child in node.get("properties", {}).items():
        if child.get("type") == "array":
            inside = [*schema_rules(child["items"])]
            if inside or any(f".{name}.{walk}(" in rules for walk in ("all", "exists", "exists_one")):
                found.append((f"{path}.{name}", child))
            found += walked(child["items"], f"{path}.{name}[]", rules)
        else:
            found += walked(child, f"{path}.{name}", rules)
    return found


@pytest.mark.parametrize("name", ["rules", "pods"])
def test_a_list_that_is_too_long_is_refused(name: str) -> None:
    rules = [{"destination": {"ports": [port]}} for port in range(1, 258)]
    pods = [{"name": f"web-{number}"} for number in range(257)]
    spec = {"target": SELECTOR, "rules": rules} if name == "rules" else {"target": {"pods": pods}}
    assert str(by_admission(KIND, spec)).endswith(f"{name} has 257 items, more than 256")
