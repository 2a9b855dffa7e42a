"""What people call pods becomes the target and the rules of a capture."""

from collections.abc import Sequence
from typing import Any

import pytest

from capture.errors import BicapError, SpecError, TargetError
from capture.kubectl.capture_request import capture_request
from capture.kubectl.chosen_pods import (
    NamedPod,
    Resolved,
    selector_of,
    selector_text,
    service_addresses,
)
from capture.kubectl.target_words import TargetWord, split_words, target_word

WEB = {"matchLabels": {"app": "web"}}
PODS = {
    "web": (NamedPod("shop", "web-0", "n1"), NamedPod("shop", "web-1", "n2")),
    "db": (NamedPod("shop", "db-0", "n2"),),
    "client": (NamedPod("shop", "client", "n1"),),
}


def resolve(word: TargetWord, namespace: str, pods: bool) -> Resolved:
    """What a cluster would say."""
    space = word.namespace or namespace
    if word.kind == "pod":
        return Resolved(word, space, None, (NamedPod(space, word.name),))
    addresses = ("10.96.0.80",) if word.kind == "service" else ()
    selector = None if word.kind == "namespace" else {"matchLabels": {"app": word.name}}
    return Resolved(word, space, selector, PODS.get(word.name, ()) if pods else (), addresses)


def spec(*words: str, to: Sequence[str] = (), cluster: bool = False, **options: Any) -> dict[str, Any]:
    """The spec for these words in namespace shop."""
    given = dict.fromkeys(("target_pods", "target_interfaces", "source", "destination", "tcp_flags"), ())
    given |= dict.fromkeys(("protocol", "family", "answer_tcp_flags", "icmp_types", "answer_icmp_types"), ())
    given |= dict.fromkeys(("icmp_type", "answer_icmp_type"), ())
    return capture_request([], given | options, words, to, "shop", cluster, resolve).spec


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("deploy/web", TargetWord("deployment", "web")),
        ("deployments/web", TargetWord("deployment", "web")),
        ("po/client", TargetWord("pod", "client")),
        ("svc/db:5432", TargetWord("service", "db", ports="5432")),
        ("bank/sts/vault", TargetWord("statefulset", "vault", "bank")),
        ("ns/bank", TargetWord("namespace", "bank")),
        ("10.0.0.0/8", None),
        ("tcp", None),
        ("web", None),
    ],
)
def test_words_that_name_something(text: str, word: TargetWord | None) -> None:
    assert target_word(text) == word


def test_words_behind_the_targets_are_an_expression() -> None:
    targets, rest = split_words(["pod/a", "pod/b", "src", "net", "10.0.0.0/8"])
    assert [target.name for target in targets] == ["a", "b"]
    assert rest == ["src", "net", "10.0.0.0/8"]


def test_a_deployment_is_its_selector_so_that_later_pods_belong_to_it() -> None:
    assert spec("deploy/web") == {"target": {"selector": WEB}}
    assert spec("deploy/web", cluster=True) == {"target": {"selector": WEB, "namespaces": ["shop"]}}


def test_pods_are_named_with_their_namespace() -> None:
    named = [{"name": "a", "namespace": "shop"}, {"name": "b", "namespace": "shop"}]
    assert spec("pod/a", "pod/b") == {"target": {"pods": named}}


def test_an_address_as_the_other_end_is_a_rule_at_the_target() -> None:
    found = spec("deploy/web", to=["10.0.0.0/8:443", ":53"])
    assert found["target"] == {"selector": WEB}
    assert found["rules"] == [
        {"destination": {"cidr": "10.0.0.0/8", "ports": [443]}},
        {"destination": {"ports": [53]}},
    ]


def test_pods_as_the_other_end_are_captured_at_both_ends() -> None:
    found = spec("deploy/web", to=["pod/client"])
    assert found["target"] == {"point": "Both"}
    assert [(rule["source"]["pod"]["name"], rule["destination"]["pod"]["name"]) for rule in found["rules"]] == [
        ("web-0", "client"),
        ("web-1", "client"),
    ]


def test_a_service_as_the_other_end_is_its_address_and_its_pods() -> None:
    found = spec("pod/client", to=["svc/web:8080"])
    client = {"pod": {"name": "client", "namespace": "shop"}}
    assert found["rules"] == [
        {"source": client, "destination": {"pod": {"name": "web-0", "namespace": "shop"}}},
        {"source": client, "destination": {"pod": {"name": "web-1", "namespace": "shop"}}},
        {"source": client, "destination": {"ip": "10.96.0.80", "ports": [8080]}},
    ]


@pytest.mark.parametrize(
    ("words", "to", "message"),
    [
        ([], [], "no target is given"),
        (["deploy/web", "sts/db"], [], "do not combine"),
        (["deploy/web", "pod/client"], [], "do not combine"),
        (["bank/pod/vault"], [], "its own namespace, shop; give -n, or --cluster"),
        (["ns/bank"], [], "its own namespace"),
        (["deploy/web:80"], [], "ports belong to --to"),
        (["deploy/web"], ["web"], "'web' is not a target"),
        (["deploy/web"], ["pod/client", "10.0.0.1"], "either pods or addresses"),
        (["deploy/web", "tcp"], ["pod/client"], "no expression"),
        (["deploy/web", "tcp"], [":80"], "makes the rules"),
        (["deploy/empty"], ["pod/client"], "has no pods in namespace shop now"),
    ],
)
def test_what_makes_no_sense_is_one_line(words: list[str], to: list[str], message: str) -> None:
    with pytest.raises(BicapError, match=message):
        spec(*words, to=to)


def test_more_pairs_of_pods_than_a_program_should_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PODS, "web", tuple(NamedPod("shop", f"web-{number}") for number in range(65)))
    with pytest.raises(SpecError, match="65 pairs of pods are more than 64 rules"):
        spec("deploy/web", to=["pod/client"])


def test_selectors_are_those_of_the_objects() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "canary", "operator": "Exists"},
        {"key": "env", "operator": "NotIn", "values": ["dev"]},
    ]
    found = selector_of(TargetWord("job", "x"), {"spec": {"selector": WEB | {"matchExpressions": expressions}}})
    assert found == WEB | {"matchExpressions": expressions}
    assert selector_text(found) == "app=web,tier in (a,b),!old,canary,env notin (dev)"
    assert selector_of(TargetWord("service", "x"), {"spec": {"selector": {"app": "web"}}}) == WEB
    with pytest.raises(TargetError, match="service/x has no selector"):
        selector_of(TargetWord("service", "x"), {"spec": {}})


def test_addresses_of_a_service_are_there_unless_it_is_headless() -> None:
    assert service_addresses({"spec": {"clusterIP": "None"}}) == ()
    assert service_addresses({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]}}) == (
        "10.0.0.1",
        "fd00::1",
    )
