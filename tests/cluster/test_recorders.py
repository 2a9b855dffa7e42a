"""Recorders on both nodes of a cluster: one fires, both write, a user fetches, and `bicap legs` names the leg."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from testbed.kubernetes.cluster import Cluster
from testbed.kubernetes.control_plane import KUBECTL
from testbed.kubernetes.network import netns
from testbed.tool import bicap
from testbed.two_pods import run
from tests.cluster.applied import AppliedCapture
from tests.cluster.conftest import Apply
from tests.cluster.fetching import allow, fetch_by_pieces, forwarded, listing
from tests.cluster.pod_traffic import address, fetch
from tests.cluster.pods_installed import installation
from tests.cluster.services import SYSTEM, Services
from tests.cluster.test_robots import ask

RULE = "retransmitted>=1"
TOKEN = "the-token-of-alertmanager"
RECORD = {"before": "30s", "after": "2s", "memory": "16Mi", "cooldown": "1h"}


def spec(cluster: Cluster, *triggers: str) -> dict[str, Any]:
    """Return a recorder of both ends of what the client and a pod on the other node say to each other."""
    rule = {"source": {"pod": {"name": "client"}}, "destination": {"pod": {"name": far(cluster)}, "ports": [80]}}
    asked: dict[str, Any] = {"target": {"point": "Both"}, "rules": [rule], "record": RECORD}
    return asked | ({"triggers": [*triggers]} if triggers else {})


def node_of(cluster: Cluster, pod: str) -> str:
    """Return the node of a pod."""
    return str(cluster.get("pod", pod, "-n", "shop")["spec"]["nodeName"])


def far(cluster: Cluster) -> str:
    """Return the web pod that is on another node than the client."""
    return next(pod for pod in ("web-0", "web-1") if node_of(cluster, pod) != node_of(cluster, "client"))


@pytest.fixture(scope="module", autouse=True)
def installed(cluster: Cluster, services: Services) -> Iterator[None]:
    """The services as pods, with a token for alerts."""
    cluster.kubectl("create", "secret", "generic", "bicap-alerts", "-n", SYSTEM, f"--from-literal=token={TOKEN}")
    try:
        with installation(cluster, services):
            yield
    finally:
        cluster.kubectl("delete", "secret", "bicap-alerts", "-n", SYSTEM)


@pytest.fixture
def lossy(cluster: Cluster) -> Iterator[None]:
    """The other node drops some requests of the client, before they come to the pod."""
    node = node_of(cluster, far(cluster))
    words = f"-d {address(cluster, 'shop', far(cluster))} -p tcp --dport 80 -m length --length 100:65535"
    rule = f"FORWARD {words} -m statistic --mode nth --every 5 --packet 0 -j DROP".split()
    space = netns(int(node[1:]))
    run("ip", "netns", "exec", space, "iptables", "-I", *rule)
    yield
    run("ip", "netns", "exec", space, "iptables", "-D", *rule)


def recording(apply: Apply, name: str, spec: dict[str, Any]) -> AppliedCapture:
    """Apply a recorder, and wait until both nodes remember packets."""
    found = apply(name, spec)
    found.until(lambda status: [node.get("reason") for node in status.get("nodes", ())] == ["Recording"] * 2)
    return found


def complete(status: Any) -> list[Any]:
    """Return the complete incidents of a status."""
    return [one for one in status.get("recorder", {}).get("incidents", ()) if one["complete"]]


def test_a_retransmission_seen_on_one_node_brings_both_ends_and_the_leg_that_lost_it(
    cluster: Cluster, apply: Apply, lossy: None, tmp_path: Path
) -> None:
    capture = recording(apply, "watched", spec(cluster, RULE))
    fetch(cluster, address(cluster, "shop", far(cluster)), 20)
    status = capture.until(lambda status: len({one["node"] for one in complete(status)}) == 2)
    client = node_of(cluster, "client")
    by_node = {one["node"]: one for one in complete(status)}
    there = next(node for node in by_node if node != client)
    assert by_node[client]["rule"] == RULE
    assert by_node[there]["rule"] in ("other-node", RULE), "a copy may be sent again that had come"
    assert by_node[there].get("reason", "") in ("", f"{client}: {RULE}")
    assert status["recorder"]["fired"] >= 1
    assert {one["reason"] for one in cluster.get("events", "-n", "shop")} >= {"Incident"}

    paths, reached = {}, {}
    with forwarded(cluster) as user:
        token = allow(cluster, "watched", "shop")
        for node in listing(user, token)["nodes"]:
            for file in node["files"]:
                name, size = file["name"], file["bytes"]
                path = tmp_path / f"{node['node']}-{name}"
                path.write_bytes(fetch_by_pieces(user, token, node["node"], name, size, 1 << 20))
                if name.endswith(".json"):
                    reached[node["node"]] = json.loads(path.read_text())
                else:
                    paths[node["node"]] = path
    late_ns = reached[there]["noticed_ns"] - reached[client]["fired_ns"]
    print(f"the other node was told after {late_ns / 1e6:.0f} ms")
    assert late_ns > 0
    legs = json.loads(bicap("legs", "--json", "--one-clock", str(paths[client]), str(paths[there])).stdout)["legs"]
    lost = [leg for leg in legs if leg["lost"]]
    assert [(Path(leg[end]["file"]).name.partition("-")[0]) for leg in lost for end in ("source", "target")] == [
        client, there,
    ]  # fmt: skip
    capture.stop()


def test_incidents_of_a_running_recorder_are_fetched_into_one_file_by_the_plugin(
    cluster: Cluster, apply: Apply, lossy: None, tmp_path: Path
) -> None:
    capture = recording(apply, "joined", spec(cluster, RULE))
    fetch(cluster, address(cluster, "shop", far(cluster)), 20)
    capture.until(lambda status: len({one["node"] for one in complete(status)}) == 2)
    command = [sys.executable, "-m", "capture.kubectl.main", "fetch", "joined", "-n", "shop"]
    environment = os.environ | {"KUBECONFIG": cluster.kubeconfigs["alice"], "KUBECTL": str(KUBECTL)}
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    legs = json.loads(bicap("legs", "--json", "--one-clock", str(tmp_path / "joined.pcapng")).stdout)["legs"]
    assert sum(leg["lost"] for leg in legs) > 0
    assert capture.status()["phase"] == "Capturing"


def test_an_alert_fires_the_recorders_that_its_labels_select(cluster: Cluster, apply: Apply, tmp_path: Path) -> None:
    watched = recording(apply, "alerted", spec(cluster))
    other = apply("other", {"target": {"pods": [{"name": "client"}]}, "record": RECORD})
    other.until(lambda status: status.get("phase") == "Capturing")
    fetch(cluster, address(cluster, "shop", far(cluster)), 5)
    alert = {
        "status": "firing",
        "labels": {"alertname": "CheckoutSlow", "bicap_io_capture": "shop/alerted"},
        "annotations": {"summary": "p99 is 3 s"},
        "startsAt": datetime.now(UTC).isoformat(),
    }
    body = json.dumps({"version": "4", "alerts": [alert]})
    for _ in range(2):  # Alertmanager sends it again and again
        status, answer = ask(cluster, tmp_path, "/v1/alerts", TOKEN, "-d", body)
        assert (status, json.loads(answer)) == (
            200, [{"alert": "CheckoutSlow", "fired": ["shop/alerted"], "passedOver": []}],
        )  # fmt: skip
    assert ask(cluster, tmp_path, "/v1/alerts", "another-token", "-d", body)[0] == 401
    told = watched.until(lambda status: len({one["node"] for one in complete(status)}) == 2)
    assert {(one["rule"], one["reason"]) for one in complete(told)} == {
        ("alertmanager", "CheckoutSlow: p99 is 3 s"),
    }  # fmt: skip
    assert len(complete(told)) == 2
    assert other.status()["recorder"]["incidentCount"] == 0
