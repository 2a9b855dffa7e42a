"""Captures from creation to removal: pods that come and go, the queue, stop, delete, and the time to live."""

import json
from datetime import datetime

from testbed.kubernetes.cluster import Cluster
from testbed.patience import wait_until
from testbed.tool import read_pcapng
from tests.cluster.captures import account_adds_up
from tests.cluster.conftest import Apply
from tests.cluster.pod_traffic import address, fetch

WEB = {"target": {"selector": {"matchLabels": {"app": "web"}}}}


def test_a_rolling_update_is_followed(cluster: Cluster, apply: Apply) -> None:
    capture = apply("rolling", WEB | {"rules": [{"destination": {"ports": [80]}, "protocol": "TCP"}]})
    capture.until(lambda status: status.get("nodeSummary") == "2/2" and status["phase"] == "Capturing")
    before = {pod["metadata"]["uid"] for pod in cluster.get("pods", "-n", "shop", "-l", "app=web")}
    cluster.kubectl("rollout", "restart", "statefulset/web", "-n", "shop")
    cluster.kubectl("rollout", "status", "statefulset/web", "-n", "shop", "--timeout=120s")
    pods = cluster.get("pods", "-n", "shop", "-l", "app=web")
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in pods)

    def interfaces() -> set[str]:
        return {name for node in capture.status()["nodes"] for name in node["interfaces"]}

    wait_until(lambda: len(interfaces()) == 2 and all("#" in name or name for name in interfaces()), interfaces)
    for pod in pods:
        fetch(cluster, address(cluster, "shop", pod["metadata"]["name"]), 5)
    status = capture.stop()
    account_adds_up(status)
    client = bytes(map(int, address(cluster, "shop", "client").split(".")))
    for node in cluster.nodes:
        (file,) = capture.files(node)
        asked = [data for data in read_pcapng(file).data if client in data[26:34]]
        assert len(asked) >= 5 * 8, f"{node.name}: the pod that came in the update was not captured"


def test_labels_are_those_that_a_pod_has_now(cluster: Cluster, apply: Apply) -> None:
    capture = apply("labels", {"target": {"selector": {"matchLabels": {"watched": "yes"}}}})
    capture.until(lambda status: status.get("phase") == "Waiting")
    cluster.kubectl("label", "pod", "client", "-n", "shop", "watched=yes")
    capture.until(lambda status: status["phase"] == "Capturing")
    cluster.kubectl("label", "pod", "client", "-n", "shop", "watched-")
    capture.until(lambda status: status["phase"] == "Waiting")
    assert capture.node("n1")["reason"] == "NoPod"


def test_what_a_namespace_may_not_run_at_once_waits_in_order(apply: Apply) -> None:
    captures = [apply(f"queue-{number}", WEB) for number in range(6)]
    for capture in captures[:4]:
        capture.until(lambda status: status.get("phase") == "Capturing")
    for capture, place in zip(captures[4:], (1, 2), strict=True):
        capture.until(lambda status: status.get("phase") == "Queued")
        assert "4 captures of namespace shop run" in capture.condition("Complete")["message"]
        assert capture.condition("Complete")["message"].endswith(f"place {place} in the queue")
    captures[0].stop()
    captures[4].until(lambda status: status["phase"] == "Capturing")
    assert captures[5].status()["phase"] == "Queued"


def test_a_deleted_capture_leaves_nothing_on_its_nodes(cluster: Cluster, apply: Apply) -> None:
    capture = apply("gone", WEB)
    capture.until(lambda status: status.get("nodeSummary") == "2/2" and status["phase"] == "Capturing")
    folders = [capture.folder(node) for node in cluster.nodes]
    assert all(folder.is_dir() for folder in folders)
    uid = capture.read()["metadata"]["uid"]
    capture.delete()
    assert not any(folder.exists() for folder in folders)
    assert not cluster.get("nodecaptures", "-n", "bicap-system", "-l", f"bicap.io/capture-uid={uid}")


def test_a_capture_is_deleted_with_its_files_when_its_time_to_live_is_over(cluster: Cluster, apply: Apply) -> None:
    capture = apply("short", WEB | {"limits": {"duration": "1s"}, "storage": {"ttl": "4s"}})
    status = capture.wait("Complete")
    folders = [capture.folder(node) for node in cluster.nodes]
    assert datetime.fromisoformat(status["completedAt"])
    wait_until(lambda: cluster.try_kubectl("get", "bpcap", "short", "-n", "shop").returncode == 1)
    assert not any(folder.exists() for folder in folders)


def test_a_namespace_can_be_deleted_while_it_is_captured(cluster: Cluster, apply: Apply) -> None:
    cluster.kubectl("create", "namespace", "shortlived")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "shortlived", "labels": {"app": "p"}},
        "spec": {
            "nodeName": "n2",
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "c",
                    "image": "localhost/busybox:1",
                    "imagePullPolicy": "Never",
                    "command": ["/bin/sleep", "1000000"],
                }
            ],
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    capture = apply("within", {"target": {"selector": {"matchLabels": {"app": "p"}}}}, "shortlived")
    capture.until(lambda status: status.get("phase") == "Capturing")
    folder = capture.folder(cluster.nodes[1])
    cluster.kubectl("delete", "namespace", "shortlived", "--timeout=60s")
    assert not folder.exists()


def test_a_change_after_the_start_is_not_followed_and_said(apply: Apply) -> None:
    capture = apply("changed", WEB)
    capture.until(lambda status: status.get("phase") == "Capturing")
    capture.patch({"spec": {"target": {"selector": {"matchLabels": {"app": "client"}}}}})
    capture.until(lambda _: capture.condition("Accepted")["reason"] == "ChangeIgnored")
