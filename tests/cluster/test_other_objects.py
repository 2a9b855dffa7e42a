"""ClusterPacketCaptures across namespaces, and Antrea's PacketCaptures as its guide has them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.kubernetes.cluster import Cluster
from testbed.patience import wait_until
from testbed.tool import read_pcapng
from tests.cluster.applied import account_adds_up
from tests.cluster.conftest import Apply
from tests.cluster.pod_traffic import address, fetch
from tests.cluster.services import Services

EXAMPLES = Path(__file__).parents[1] / "unit" / "request" / "antrea"


def test_a_cluster_packet_capture_is_about_pods_of_two_namespaces(cluster: Cluster, apply: Apply) -> None:
    rule = {
        "source": {"pod": {"namespace": "shop", "name": "client"}},
        "destination": {"pod": {"namespace": "bank", "name": "vault"}, "ports": [80]},
    }
    capture = apply("across", {"target": {"point": "Both"}, "rules": [rule]}, "")
    capture.until(lambda status: status.get("nodeSummary") == "2/2" and status["phase"] == "Capturing")
    fetch(cluster, address(cluster, "bank", "vault"), 5)
    status = capture.stop()
    account_adds_up(status)
    near, far = (capture.node(node.name) for node in cluster.nodes)
    assert near["forward"]["packets"] == far["forward"]["packets"] > 0
    assert near["reverse"]["packets"] == far["reverse"]["packets"] > 0


def test_a_cluster_packet_capture_needs_the_namespaces_of_its_pods(apply: Apply) -> None:
    capture = apply("unnamed", {"rules": [{"source": {"pod": {"name": "client"}}}]}, "")
    capture.until(lambda status: status.get("phase") == "Rejected")
    assert "namespace is missing" in capture.condition("Accepted")["message"]


def test_interfaces_of_nodes_are_captured_where_no_pod_is(cluster: Cluster, apply: Apply) -> None:
    """The uplinks of both nodes, between which VXLAN carries what pods say."""
    rule = {"destination": {"ports": [8472]}, "protocol": "UDP"}
    everywhere = apply("uplinks", {"target": {"interfaces": ["uplink"]}, "rules": [rule]}, "")
    one = apply("uplink", {"target": {"interfaces": ["uplink"], "nodes": ["n2"]}, "rules": [rule]}, "")
    nowhere = apply("missing", {"target": {"interfaces": ["none"], "nodes": ["n1"]}}, "")
    everywhere.until(lambda status: status.get("nodeSummary") == "2/2" and status["phase"] == "Capturing")
    one.until(lambda status: status.get("nodeSummary") == "1/1" and status["phase"] == "Capturing")
    fetch(cluster, address(cluster, "bank", "vault"), 5)
    for capture, nodes in ((everywhere, ["n1", "n2"]), (one, ["n2"])):
        status = capture.stop()
        account_adds_up(status)
        assert [node["node"] for node in status["nodes"]] == nodes
        for node in status["nodes"]:
            assert node["forward"]["packets"] + node["reverse"]["packets"] >= 5 * 8
    nowhere.until(lambda status: status.get("phase") == "Failed")
    assert nowhere.node("n1")["reason"] == "NothingToCapture"


def pod(name: str, node: str, script: str) -> dict[str, Any]:
    container = {
        "name": "c",
        "image": "localhost/busybox:1",
        "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", script],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [container]},
    }


@pytest.fixture(scope="module")
def guide(cluster: Cluster, services: Services) -> Iterator[None]:
    """The definition of Antrea's objects, and the pods of its guide."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    names = {"plural": "packetcaptures", "singular": "packetcapture", "kind": "PacketCapture"}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "packetcaptures.crd.antrea.io"},
        "spec": {
            "group": "crd.antrea.io",
            "scope": "Cluster",
            "names": names,
            "versions": [version | {"subresources": {"status": {}}}],
        },
    }
    objects = [
        definition,
        pod("frontend", "n1", "sleep 1000000"),
        pod("backend", "n2", "mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"),
    ]
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    cluster.kubectl("apply", "-f", "-", stdin=body)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/frontend", "pod/backend", "--timeout=60s")
    yield
    cluster.kubectl("delete", "-f", "-", "--timeout=60s", stdin=body)


def conditions(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Return status and reason of each of Antrea's conditions."""
    found = cluster.get("packetcaptures.crd.antrea.io", "pc-test").get("status", {}).get("conditions", ())
    return {one["type"]: (one["status"], one["reason"]) for one in found}


@pytest.mark.usefixtures("guide")
def test_the_example_of_antreas_guide_runs_unchanged_with_antreas_status(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", str(EXAMPLES / "guide-tcp.yaml"))
    try:
        wait_until(
            lambda: conditions(cluster).get("PacketCaptureStarted") == ("True", "Started"),
            lambda: conditions(cluster),
        )
        backend = address(cluster, "default", "backend")
        script = f"for i in 1 2 3 4 5 6; do wget -q -O - http://{backend}:8080/ || exit 1; done"
        cluster.kubectl("exec", "frontend", "--", "/bin/sh", "-c", script)
        wait_until(
            lambda: conditions(cluster).get("PacketCaptureComplete") == ("True", "Succeed"),
            lambda: conditions(cluster),
        )
        assert conditions(cluster)["PacketCaptureFileUploaded"] == ("False", "Failed")
        status = cluster.get("packetcaptures.crd.antrea.io", "pc-test")["status"]
        assert status["numberCaptured"] == 5
        node, _, path = status["filePath"].partition(":")
        file = next(one for one in cluster.nodes if one.name == node).captures / path
        packets = read_pcapng(file).data
        assert len(packets) == 5
        assert all(data[47] & 0x02 for data in packets), "a packet is no SYN"
    finally:
        cluster.kubectl("delete", "-f", str(EXAMPLES / "guide-tcp.yaml"), "--timeout=60s")
