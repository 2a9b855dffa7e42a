"""The image and the manifests as they are, installed by kubectl apply -k, with the rights that they give."""

import json
import time
from collections.abc import Iterator

import pytest

from testbed.kubernetes.cluster import Cluster
from testbed.patience import wait_until
from testbed.tool import check_with_readers, read_pcapng
from tests.cluster.applied import AppliedCapture, account_adds_up
from tests.cluster.conftest import Apply
from tests.cluster.pod_traffic import address, fetch
from tests.cluster.pods_installed import installation
from tests.cluster.rights import RIGHTS, answer
from tests.cluster.services import ROOT, SYSTEM, Services


@pytest.fixture(scope="module", autouse=True)
def installed(cluster: Cluster, services: Services) -> Iterator[None]:
    """The services as pods, in place of the processes."""
    with installation(cluster, services):
        yield


def test_a_capture_runs_with_the_rights_that_the_manifests_give(cluster: Cluster, apply: Apply) -> None:
    web = {"target": {"selector": {"matchLabels": {"app": "web"}}}, "rules": [{"destination": {"ports": [80]}}]}
    capture = apply("installed", web)
    capture.until(lambda status: status.get("nodeSummary") == "2/2" and status["phase"] == "Capturing")
    for pod in ("web-0", "web-1"):
        fetch(cluster, address(cluster, "shop", pod), 5)
    status = capture.stop()
    account_adds_up(status)
    capture.until(lambda status: all(file.get("sha256") for node in status["nodes"] for file in node["files"]))
    for node in cluster.nodes:
        (file,) = capture.files(node)
        check_with_readers(file)
        assert len(read_pcapng(file).data) >= 40
    folders = [capture.folder(node) for node in cluster.nodes]
    capture.delete()
    assert not any(folder.exists() for folder in folders)


@pytest.mark.parametrize(("who", "verb", "resource", "namespace", "allowed"), RIGHTS)
def test_rights_are_those_of_the_table(
    cluster: Cluster, who: str, verb: str, resource: str, namespace: str, allowed: bool
) -> None:
    assert answer(cluster, who, verb, resource, namespace) is allowed


def test_an_upgrade_of_the_agents_is_a_gap_that_is_stated(cluster: Cluster, apply: Apply) -> None:
    capture = apply("upgraded", {"target": {"pods": [{"name": "client"}]}})
    capture.until(lambda status: status.get("phase") == "Capturing")
    fetch(cluster, address(cluster, "shop", "web-0"), 5)
    cluster.kubectl("rollout", "restart", "daemonset/bicap-agent", "-n", SYSTEM)
    cluster.kubectl("rollout", "status", "daemonset/bicap-agent", "-n", SYSTEM, "--timeout=180s")
    capture.until(lambda status: status["phase"] == "Capturing" and capture.node("n1").get("interruptions"))
    status = capture.stop()
    account_adds_up(status)
    (gap,) = capture.node("n1")["interruptions"]
    assert gap["reason"] == "AgentStopped"
    assert capture.node("n1")["unaccounted"] == 0


def test_metrics_of_the_leader_have_the_captures(cluster: Cluster, apply: Apply) -> None:
    capture = apply("measured", {"target": {"pods": [{"name": "client"}]}, "limits": {"duration": "2s"}})
    capture.wait("Complete")

    def metrics() -> str:
        pods = [f"bicap-controller-{number}" for number in range(2)]
        addresses = [address(cluster, SYSTEM, pod) for pod in pods]
        words = ["exec", "-n", "shop", "client", "--", "wget", "-q", "-O", "-"]
        return "".join(cluster.kubectl(*words, f"http://{one}:9090/metrics") for one in addresses)

    wait_until(lambda: "bicap_leader 1.0" in metrics())
    found = metrics()
    assert 'bicap_captures{phase="Complete"}' in found
    assert "bicap_agents 2.0" in found
    assert 'bicap_capture_packets_total{capture="measured",direction="forward",fate="written"' in found


def test_a_sidecar_captures_from_the_first_packet_and_replaces_nothing_when_it_restarts(cluster: Cluster) -> None:
    manifest = ROOT / "deploy" / "sidecar.yaml"
    cluster.kubectl("apply", "-n", "bank", "-f", str(manifest))
    try:
        cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "-n", "bank", "--timeout=120s")
        fetch(cluster, address(cluster, "bank", "web"), 3)
        pod = cluster.get("pod", "web", "-n", "bank")
        started = {one["name"]: one["state"]["running"]["startedAt"] for one in pod["status"]["containerStatuses"]}
        assert started["capture"] <= started["web"]
        words = ("exec", "-n", "bank", "web", "-c", "capture", "--")

        def files() -> list[str]:
            return sorted(cluster.kubectl(*words, "ls", "/captures").split())

        (first,) = [name for name in files() if name.endswith(".pcapng")]
        time.sleep(1.1)
        cluster.kubectl(*words, "/usr/bin/python3", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")

        def restarted() -> bool:
            status = cluster.get("pod", "web", "-n", "bank")["status"]["containerStatuses"]
            return any(one["name"] == "capture" and one["restartCount"] and one["ready"] for one in status)

        wait_until(restarted)
        wait_until(lambda: len([name for name in files() if name.endswith(".pcapng")]) == 2, files)
        assert first in files()
        (summary,) = [name for name in files() if name.endswith(".json")]
        account = json.loads(cluster.kubectl(*words, "cat", f"/captures/{summary}"))
        assert account["files"][0]["path"].endswith(first)
        assert account["account"]["written"] >= 3 * 10
    finally:
        cluster.kubectl("delete", "-n", "bank", "-f", str(manifest), "--timeout=60s")


def test_alice_captures_in_her_namespace_as_herself(cluster: Cluster) -> None:
    body = {
        "apiVersion": "bicap.io/v1alpha1",
        "kind": "PacketCapture",
        "metadata": {"name": "mine", "namespace": "shop"},
        "spec": {"target": {"pods": [{"name": "client"}]}, "limits": {"duration": "1s"}},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body), user="alice")
    AppliedCapture(cluster, "packetcaptures", "mine", "shop").wait("Complete")
    assert cluster.try_kubectl("delete", "bpcap", "mine", "-n", "shop", user="bob").returncode == 1
    cluster.kubectl("delete", "bpcap", "mine", "-n", "shop", user="alice")
