"""What a user asks for -> a document, or one line with the field and the reason. Nothing leads out of a namespace."""

from typing import Any

import pytest

from capture.cluster.admission import admitted, checked_spec
from capture.cluster.crds import definitions
from capture.errors import SpecError

SELECTOR = {"selector": {"matchLabels": {"app": "web"}}}
OTHER = {"namespace": "bank", "name": "vault"}

REFUSED: list[tuple[Any, str]] = [
    ({"target": {"pods": [OTHER]}}, "spec.target.pods[0].namespace bank: a PacketCapture is about pods of its own"),
    ({"target": SELECTOR | {"namespaces": ["bank"]}}, "spec.target.namespaces bank: "),
    ({"target": SELECTOR | {"namespaces": ["shop", "bank"]}}, "spec.target.namespaces bank: "),
    ({"target": {"allPods": True}}, "spec.target.allPods: more than pods of a namespace"),
    ({"target": {"interfaces": ["eth0"]}}, "spec.target.interfaces: more than pods of a namespace"),
    ({"target": SELECTOR | {"netns": "/proc/1/ns/net"}}, "spec.target.netns: more than pods of a namespace"),
    ({"rules": [{"source": {"pod": OTHER}}]}, "spec.rules[0].source.pod.namespace bank: "),
    ({"rules": [{}, {"destination": {"pod": OTHER}}]}, "spec.rules[1].destination.pod.namespace bank: "),
    ({"target": SELECTOR, "storage": {"path": "/etc/shadow"}}, "spec.storage.path: the agent of each node names"),
    ({"target": SELECTOR, "storage": {"user": "root"}}, "spec.storage.user: files belong to the agent"),
    ({"target": SELECTOR, "conversations": {"file": "/etc/shadow"}}, "spec.conversations.file: "),
    ({"target": {"pids": [1]}}, "spec.target.pids: a process number means something on one node only"),
    ({"target": SELECTOR | {"podsFile": "/etc/shadow"}}, "spec.target.podsFile: it is a file of one node"),
    ({"target": SELECTOR | {"criSockets": ["/run/x"]}}, "spec.target.criSockets: "),
    ({"target": SELECTOR, "limits": {"duration": "soon"}}, "spec.limits.duration"),
    ({"target": SELECTOR, "storage": {"ttl": "soon"}}, "spec.storage.ttl"),
    ({"target": SELECTOR, "spec": {}}, "Object contains unknown field `spec`"),
    ({"target": SELECTOR, "record": {}}, "spec.record is empty; give one of its fields"),
    ({"target": SELECTOR, "record": {"folder": "/etc"}}, "spec.record.folder: the agent of each node names the"),
    ({"target": SELECTOR, "record": {"kept": 5000}}, "spec.record.kept 5000 is more than 1000"),
    ({"target": SELECTOR, "record": {"before": "soon"}}, "spec.record.before"),
    ({"target": SELECTOR, "triggers": ["rst>0"], "limits": {"packets": 9}}, "spec.limits.packets: a recorder"),
    (
        {"target": SELECTOR, "triggers": ["rst>0", " drop = any"]},
        "spec.triggers[1]  drop = any: the kernel's reasons",
    ),
    ({"target": SELECTOR, "triggers": ["reset-reason=NO_SOCKET"]}, "spec.triggers[0] reset-reason=NO_SOCKET: the k"),
    ({"target": SELECTOR, "triggers": ["rst>0"] * 65}, "spec.triggers has 65 items, more than 64"),
    ({}, "spec.target chooses no pods"),
    ("all", "Expected `object`, got `str`"),
]


@pytest.mark.parametrize(("spec", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_a_namespace_may_not_ask_for_is_refused_by_name(spec: Any, said: str) -> None:
    with pytest.raises(SpecError) as refused:
        checked_spec(admitted("PacketCapture", "c", "shop", spec))
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_a_selector_selects_in_its_own_namespace_only() -> None:
    spec = checked_spec(admitted("PacketCapture", "c", "shop", {"target": SELECTOR}))
    assert spec.pods is not None
    assert spec.pods.namespaces == ("shop",)


def test_pods_of_a_cluster_packet_capture_have_a_namespace() -> None:
    with pytest.raises(SpecError, match=r"spec\.rules\[0\]\.source\.pod\.namespace is missing"):
        admitted("ClusterPacketCapture", "c", "", {"rules": [{"source": {"pod": {"name": "vault"}}}]})
    spec = checked_spec(admitted("ClusterPacketCapture", "c", "", {"rules": [{"source": {"pod": OTHER}}]}))
    assert {str(name) for name in spec.ends} == {"bank/vault"}


def test_a_recorder_is_asked_for_by_a_field_of_it_or_by_a_trigger() -> None:
    for asked in ({"record": {"before": "5s"}}, {"triggers": ["handshake=unanswered"]}):
        spec = checked_spec(admitted("PacketCapture", "c", "shop", {"target": SELECTOR} | asked))
        assert spec.recording is not None
    assert checked_spec(admitted("PacketCapture", "c", "shop", {"target": SELECTOR})).recording is None


def test_defaults_that_the_api_server_fills_in_are_no_wishes() -> None:
    """Every default of the definition, in every part of the object."""
    filled: dict[str, Any] = {"target": SELECTOR, "sampling": {}, "limits": {}, "storage": {}}
    properties = definitions()["PacketCapture"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    for name, field in properties["spec"]["properties"].items():
        if "default" in field:
            filled[name] = field["default"]
        if name in ("target", "sampling", "limits", "storage"):
            parts = {key: inner["default"] for key, inner in field["properties"].items() if "default" in inner}
            filled[name] = filled[name] | parts
    assert filled["storage"]
    asked = checked_spec(admitted("PacketCapture", "c", "shop", {"target": SELECTOR}))
    assert checked_spec(admitted("PacketCapture", "c", "shop", filled)) == asked
