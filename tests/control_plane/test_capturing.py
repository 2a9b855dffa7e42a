"""Whatever someone of the shop asks for, by any field, name or label: no packet of the bank is caught for him."""

import json
import os
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from capture.cluster.kube import SYSTEM_NAMESPACE
from testbed.patience import wait_until
from tests.control_plane.two_tenants import BANK, NODE, OF_SHOP, SHARING, SHOP, TenantCapture, TwoTenants

OWN = {"target": {"pods": [{"name": "web"}]}}
VAULT = {"name": "vault", "namespace": "bank"}

REFUSED: dict[str, Any] = {
    "a pod by its namespace": {"target": {"pods": [VAULT]}},
    "a pod beside an own one": {"target": {"pods": [{"name": "web"}, VAULT]}},
    "a namespace": {"target": {"namespaces": ["bank"]}},
    "a namespace beside the own one": {
        "target": {"namespaces": ["shop", "bank"], "selector": {"matchLabels": {"app": "vault"}}}
    },
    "all pods": {"target": {"allPods": True}},
    "an interface of the node": {"target": {"interfaces": ["v-vault"]}},
    "a network namespace": {"target": {"netns": "vault", "pods": [{"name": "web"}]}},
    "the source of a rule": {"rules": [{"source": {"pod": VAULT}}]},
    "the destination of a rule": {"target": {"point": "Destination"}, "rules": [{"destination": {"pod": VAULT}}]},
    "a namespace with a path": {"target": {"pods": [{"name": "vault", "namespace": "shop/../bank"}]}},
    "a name with a namespace": {"target": {"pods": [{"name": "bank/vault"}]}},
    "a name with a path": {"target": {"pods": [{"name": "../bank/vault"}]}},
    "an empty selector of everything": {"target": {"selector": {}, "allPods": True}},
    "a file to write to": OWN | {"storage": {"path": "/var/lib/bicap/other.pcapng"}},
    "another owner of files": OWN | {"storage": {"user": "nobody"}},
    "a file of conversations": {**OWN, "conversations": {"file": "/etc/shadow"}},
    "a store by its URL": OWN | {"store": {"url": "s3://mine/", "credentials": "/etc/shadow"}},
    "the folder of a recorder": OWN | {"record": {"folder": "/var/lib/bicap"}},
}

NOTHING: dict[str, Any] = {
    "a label of the bank": {"target": {"selector": {"matchLabels": {"app": "vault"}}}},
    "an expression of labels": {
        "target": {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["vault"]}]}}
    },
    "a name that only the bank has": {"target": {"pods": [{"name": "vault"}]}},
    "the ID of a container of the bank": {"target": {"containers": ["c-sandbox-of-vault"]}},
    "the ID with its runtime": {"target": {"containers": ["containerd://c-sandbox-of-vault"]}},
}


@pytest.fixture
def made(tenants: TwoTenants, secret: TenantCapture) -> Iterator[list[TenantCapture]]:
    """Captures that are deleted after the test."""
    made: list[TenantCapture] = []
    yield made
    for capture in made:
        tenants.remove(capture)


def _of_bank(data: bytes) -> bool:
    return ip_address(BANK.ip).packed in data[14:42]


def caught_nothing_of_the_bank(capture: TenantCapture) -> None:
    """Traffic of both passes; then no order, file or status of the capture has anything of the bank."""
    SHOP.ping()
    BANK.ping()
    for part in capture.parts:
        assert {pod["namespace"] for pod in part["spec"].get("pods", [])} <= {"shop"}
    assert not any(_of_bank(data) for data in capture.packets())
    assert "vault" not in json.dumps(capture.status.get("nodes", []))


@pytest.mark.parametrize("spec", REFUSED.values(), ids=REFUSED)
def test_what_reaches_beyond_a_namespace_is_refused(
    tenants: TwoTenants, made: list[TenantCapture], spec: Any
) -> None:
    """Even to whoever may do everything in his own."""
    done = tenants.create("tyrant", "PacketCapture", "shop", "tried", spec)
    if done.returncode:  # by the schema
        assert "invalid" in done.stderr.lower()
        return
    made.append(capture := TenantCapture(tenants, "shop", "tried"))
    wait_until(lambda: capture.status.get("conditions"), tenants.logs)
    asked, kept = json.dumps(spec, sort_keys=True), json.dumps(capture.object["spec"], sort_keys=True)
    if capture.status["phase"] != "Rejected":
        # A field that the definition does not have is left out by the API server: what is left may run.
        assert asked != kept
        assert "shadow" not in kept
    caught_nothing_of_the_bank(capture)


@pytest.mark.parametrize("spec", NOTHING.values(), ids=NOTHING)
def test_what_only_the_bank_has_is_not_found(tenants: TwoTenants, made: list[TenantCapture], spec: Any) -> None:
    made.append(capture := tenants.capture("alice", "shop", "tried", spec))
    assert capture.until("Waiting")["nodes"] == []
    caught_nothing_of_the_bank(capture)


def test_an_own_pod_shows_its_own_packets_only(tenants: TwoTenants, made: list[TenantCapture]) -> None:
    rule = {"source": {"ip": f"{BANK.ip}/32"}}
    made.append(tenants.capture("alice", "shop", "vault", OWN))  # the name that the bank's capture has
    made.append(tenants.capture("alice", "shop", "ruled", OWN | {"rules": [rule]}))
    for capture in made:
        capture.until("Capturing")
        caught_nothing_of_the_bank(capture)
        assert capture.status["nodes"][0]["interfaces"] == ["shop/web:eth0"]
    made[0].stop()
    assert len(made[0].packets()) >= 6


@pytest.mark.parametrize(
    "spec",
    [
        {"target": {"pods": [{"name": SHARING.name}]}},
        {"target": {"selector": {"matchLabels": {"app": SHARING.name}}}},
        {"target": {"point": "Both"}, "rules": [{"source": {"pod": {"name": SHARING.name}}}]},
    ],
    ids=["by name", "by label", "by a rule"],
)
def test_a_pod_with_the_network_of_its_node_is_no_way_to_the_packets_of_others(
    tenants: TwoTenants, made: list[TenantCapture], spec: Any
) -> None:
    made.append(capture := tenants.capture("alice", "shop", "sharing", spec))
    status = capture.until("Waiting")
    told = next(one for one in status["conditions"] if one["type"] == "Complete")
    assert "hostNetwork" in told["message"]
    assert "ClusterPacketCapture" in told["message"]
    caught_nothing_of_the_bank(capture)
    assert capture.parts == []


def test_beside_another_pod_it_is_left_out(tenants: TwoTenants, made: list[TenantCapture]) -> None:
    rule = {"source": {"pod": {"name": SHARING.name}}, "destination": {"pod": {"name": "web"}}}
    spec = {"target": {"point": "Both"}, "rules": [rule]}
    made.append(capture := tenants.capture("alice", "shop", "sharing", spec))
    capture.until("Capturing")
    assert capture.status["nodes"][0]["interfaces"] == ["shop/web:eth0"]
    caught_nothing_of_the_bank(capture)


def test_what_an_object_says_of_itself_is_not_believed(
    tenants: TwoTenants, made: list[TenantCapture], secret: TenantCapture
) -> None:
    """Labels, a uid, an owner and a status that name the bank's capture."""
    metadata = {
        "uid": secret.uid,
        "labels": {"bicap.io/capture-uid": secret.uid, "bicap.io/node": NODE},
        "ownerReferences": [
            {"apiVersion": "bicap.io/v1alpha1", "kind": "PacketCapture", "name": "vault", "uid": secret.uid}
        ],
    }
    status = {"phase": "Complete", "nodes": secret.status["nodes"]}
    made.append(capture := tenants.capture("tyrant", "shop", "forged", OWN, metadata=metadata, status=status))
    assert capture.uid != secret.uid
    capture.until("Capturing")
    assert capture.status["nodes"][0]["interfaces"] == ["shop/web:eth0"]
    caught_nothing_of_the_bank(capture)


def test_a_written_status_opens_nothing(
    tenants: TwoTenants, made: list[TenantCapture], secret: TenantCapture
) -> None:
    """The tyrant may write it; the controller says again what is true, and reads no more than its own times."""
    made.append(capture := tenants.capture("tyrant", "shop", "rewritten", OWN))
    capture.until("Capturing")
    patch = json.dumps({"status": {"nodes": secret.status["nodes"]}})
    words = ("patch", "bpcap", "rewritten", "-n", "shop", "--subresource=status", "--type=merge", "-p", patch)
    tenants.plane.kubectl(*words, user="tyrant")
    capture.stop()
    wait_until(lambda: capture.status["nodes"][0]["files"][0]["name"].startswith("rewritten-"))
    assert (secret.folder / "vault-n1.pcapng").exists()


def test_orders_are_taken_from_the_system_namespace_only(tenants: TwoTenants, secret: TenantCapture) -> None:
    vault = tenants.plane.get("pod", BANK.name, "-n", "bank")["metadata"]["uid"]
    order = {
        "node": NODE,
        "capture": {"kind": "PacketCapture", "name": "order", "namespace": "shop", "uid": "of-mallory"},
        "document": {"target": {"namespaces": ["bank"]}},
        "pods": [{"namespace": "bank", "name": "vault", "uid": vault, "node": NODE}],
    }
    labels = {"labels": {"bicap.io/node": NODE, "bicap.io/capture-uid": "of-mallory"}}
    for user in ("alice", "mallory"):
        assert "forbidden" in tenants.create(user, "NodeCapture", "shop", "order", order, metadata=labels).stderr
    for user in OF_SHOP:
        done = tenants.create(user, "NodeCapture", SYSTEM_NAMESPACE, "order", order, metadata=labels)
        assert "forbidden" in done.stderr
    done = tenants.create("tyrant", "NodeCapture", "shop", "order", order, metadata=labels)
    assert done.returncode == 0, "the tyrant may do everything in the shop"
    probe = tenants.capture("alice", "shop", "probe", OWN)  # once it runs, the agent has seen all that it ever will
    probe.until("Capturing")
    tenants.remove(probe)
    assert "of-mallory" not in os.listdir(tenants.home)
    assert not tenants.plane.get("nodecaptures", "order", "-n", "shop").get("status")
    tenants.plane.kubectl("delete", "nodecaptures", "order", "-n", "shop")


def test_captures_of_the_whole_cluster_are_for_administrators(tenants: TwoTenants, secret: TenantCapture) -> None:
    for user in OF_SHOP:
        spec = {"target": {"pods": [VAULT]}}
        assert "forbidden" in tenants.create(user, "ClusterPacketCapture", "", "all", spec).stderr
        assert not tenants.may(user, "create", "packetcaptures.crd.antrea.io", "shop") or user == "tyrant"
        assert "forbidden" in tenants.create(user, "PacketCapture", "bank", "tried", OWN).stderr
