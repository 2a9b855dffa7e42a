"""Pods of the API server -> the nodes on which a capture runs: never at interfaces that a namespace does not own."""

from typing import Any

import pytest

from capture.cluster.admission import admitted, checked_spec
from capture.cluster.kube import KubePod, ObjectMetadata, PodIp, PodSpec, PodStatus
from capture.cluster.pods_by_node import PodPlaces, on_nodes, pod_places, waiting_text
from capture.spec import CaptureSpec

EVERYTHING = {"target": {"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}}
BETWEEN = {
    "target": {"point": "Both"},
    "rules": [{"source": {"pod": {"name": "ingress"}}, "destination": {"pod": {"name": "web"}}}],
}


def pod(name: str, node: str, host_network: bool = False) -> KubePod:
    return KubePod(
        ObjectMetadata(name=name, namespace="shop", uid=f"uid-{name}", labels={"app": name}),
        PodSpec(node, host_network),
        PodStatus(pod_ips=[PodIp("192.0.2.1")]),
    )


PODS = [pod("web", "n1"), pod("ingress", "n1", host_network=True), pod("ingress-2", "n2", host_network=True)]


def places(spec: Any, whole_nodes: bool, pods: list[KubePod] = PODS) -> tuple[CaptureSpec, PodPlaces]:
    checked = checked_spec(admitted("PacketCapture", "c", "shop", spec))
    return checked, pod_places(checked, pods, whole_nodes)


def test_pods_that_share_their_nodes_network_are_left_out_and_named() -> None:
    spec, found = places(EVERYTHING, whole_nodes=False)
    assert {node: [one.name for one in pods] for node, pods in found.by_node.items()} == {"n1": ["web"]}
    assert found.sharing == ["shop/ingress", "shop/ingress-2"]
    _, none = places(EVERYTHING, whole_nodes=False, pods=PODS[1:])
    assert not none.by_node
    assert waiting_text(spec, none).startswith("shop/ingress, shop/ingress-2: hostNetwork")
    assert waiting_text(spec, PodPlaces({}, [])).startswith("no pod matches")


def test_an_administrator_gets_them() -> None:
    _, found = places(EVERYTHING, whole_nodes=True)
    assert {node: [one.name for one in pods] for node, pods in found.by_node.items()} == {
        "n1": ["ingress", "web"],
        "n2": ["ingress-2"],
    }
    assert found.sharing == []


@pytest.mark.parametrize(("whole_nodes", "node"), [(False, ""), (True, "n1")])
def test_a_rule_names_one_as_the_other_side(whole_nodes: bool, node: str) -> None:
    """It is known by its address; to the agent it is not one of its node, where it would be captured at."""
    _, found = places(BETWEEN, whole_nodes)
    assert [(one.name, one.node, one.ips) for one in found.by_node["n1"]] == [
        ("ingress", node, ["192.0.2.1"]),
        ("web", "n1", ["192.0.2.1"]),
    ]


@pytest.mark.parametrize(
    ("target", "by_node"),
    [
        ({"interfaces": ["eth0"]}, {"n1": [], "n2": [], "n3": []}),
        ({"interfaces": ["eth0"], "nodes": ["n3", "n4"]}, {"n3": [], "n4": []}),
        ({"namespaces": ["shop"]}, {"n1": ["ingress", "web"], "n2": ["ingress-2"]}),
        ({"namespaces": ["shop"], "nodes": ["n2", "n3"]}, {"n2": ["ingress-2"]}),
        ({"namespaces": ["shop"], "interfaces": ["eth0"], "nodes": ["n2", "n3"]}, {"n2": ["ingress-2"], "n3": []}),
    ],
)
def test_interfaces_of_nodes_need_an_agent_and_no_pod(target: Any, by_node: dict[str, list[str]]) -> None:
    document = admitted("ClusterPacketCapture", "c", "", {"target": target})
    found = pod_places(checked_spec(document), PODS, whole_nodes=True)
    found = on_nodes(found, document.target, ["n1", "n2", "n3"])
    assert {node: [one.name for one in pods] for node, pods in found.by_node.items()} == by_node
