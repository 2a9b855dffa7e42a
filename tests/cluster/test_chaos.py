"""Services and their parts are killed while packets are captured: files and accounts are right afterwards."""

import os
import signal
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

from testbed.kubernetes.cluster import Cluster
from testbed.kubernetes.kubernetes_node import KubernetesNode
from testbed.patience import wait_until
from testbed.tool import check_with_readers, read_pcap, read_pcapng
from tests.cluster.applied import account_adds_up
from tests.cluster.conftest import Apply
from tests.cluster.pod_traffic import address, fetch, tcpdump
from tests.cluster.services import Services, agent_of

CLIENT = {
    "target": {"pods": [{"name": "client"}]},
    "rules": [{"destination": {"ports": [80]}, "protocol": "TCP"}],
}


def kill_captures(cluster: Cluster, node: KubernetesNode) -> None:
    """Kill all processes that capture on a node, and what they are forked from, so that none ends well."""
    mounts = os.readlink(f"/proc/{cluster.processes.pid(f'{node.name}-containerd')}/ns/mnt")
    for folder in Path("/proc").glob("[0-9]*"):
        captures = b"capture.nursery.server" in (folder / "cmdline").read_bytes()
        if captures and os.readlink(folder / "ns/mnt") == mounts:
            os.kill(int(folder.name), signal.SIGKILL)


def test_a_capture_goes_on_after_its_node_was_killed_with_the_gap_in_file_and_status(
    cluster: Cluster, services: Services, apply: Apply, tmp_path: Path
) -> None:
    node, server = cluster.nodes[0], address(cluster, "shop", "web-0")
    capture = apply("killed", CLIENT)
    capture.until(lambda status: status.get("phase") == "Capturing")
    oracle = tmp_path / "all.pcap"
    with tcpdump(cluster, "shop", "client", oracle, "tcp port 80"):
        fetch(cluster, server, 10)
        time.sleep(1.0)  # what is younger is in rings, and dies with them
        services.kill(agent_of(node))
        kill_captures(cluster, node)
        fetch(cluster, server, 5)
        services.start_agent(node)
        capture.until(lambda status: status["phase"] == "Capturing" and capture.node("n1").get("interruptions"))
        fetch(cluster, server, 10)
    status = capture.stop()
    account_adds_up(status)
    capture.until(lambda status: all(file.get("sha256") for file in capture.node("n1")["files"]))
    before, after = capture.files(node)
    assert [before.name, after.name] == ["killed-n1.pcapng", "killed-n1-2.pcapng"]
    first, second, everything = read_pcapng(before), read_pcapng(after), read_pcap(oracle)
    check_with_readers(before, len(first.data))
    check_with_readers(after, len(second.data))
    told = capture.node("n1")
    assert told["unaccounted"] == len(first.data) >= 80
    assert told["packets"] == len(first.data) + len(second.data)
    assert Counter(first.data + second.data) < Counter(everything.data), "a packet is in the files twice"
    (gap,) = told["interruptions"]
    assert datetime.fromisoformat(gap["from"]) < datetime.fromisoformat(gap["to"])
    assert gap["reason"] == "AgentRestart"
    assert b"goes on after killed-n1.pcapng" in after.read_bytes()[:4096]
    assert capture.condition("Degraded")["reason"] == "Interrupted"


def test_a_capture_whose_agent_is_killed_loses_nothing_of_its_account(
    cluster: Cluster, services: Services, apply: Apply
) -> None:
    node, server = cluster.nodes[0], address(cluster, "shop", "web-0")
    capture = apply("orphan", CLIENT)
    capture.until(lambda status: status.get("phase") == "Capturing")
    fetch(cluster, server, 10)
    services.kill(agent_of(node))
    services.start_agent(node)
    capture.until(lambda _: capture.node("n1").get("interruptions") and capture.node("n1")["phase"] == "Capturing")
    fetch(cluster, server, 10)
    status = capture.stop()
    account_adds_up(status)
    told = capture.node("n1")
    assert told["unaccounted"] == 0
    capture.until(lambda status: all(file.get("sha256") for file in capture.node("n1")["files"]))
    assert sum(len(read_pcapng(file).data) for file in capture.files(node)) == told["packets"] >= 160


def test_a_capture_that_has_ended_is_not_run_again_by_an_agent_that_starts(
    cluster: Cluster, services: Services, apply: Apply
) -> None:
    node = cluster.nodes[0]
    capture = apply("once", CLIENT | {"limits": {"duration": "1s"}})
    capture.wait("Complete")
    capture.until(lambda status: all(file.get("sha256") for file in capture.node("n1")["files"]))
    before = capture.files(node)
    services.cluster.processes.stop(agent_of(node))
    services.start_agent(node)
    probe = apply("probe", CLIENT | {"limits": {"duration": "1s"}})
    probe.wait("Complete")
    assert capture.files(node) == before
    assert capture.node("n1")["fileCount"] == 1


def test_another_controller_leads_when_the_leader_is_killed(services: Services, apply: Apply) -> None:
    capture = apply("led", CLIENT)
    capture.until(lambda status: status.get("phase") == "Capturing")
    services.start_controller("controller-1", "--antrea")
    leader = services.leader()
    services.kill(leader)
    wait_until(lambda: services.leader() not in ("", leader), services.logs)
    assert capture.stop()["phase"] == "Complete"
    assert "interruptions" not in capture.node("n1") or not capture.node("n1")["interruptions"]
    services.cluster.processes.restart(leader)


MINUTE = 60


def test_captures_go_on_while_there_is_no_api_server_for_a_minute(
    cluster: Cluster, apply: Apply, tmp_path: Path
) -> None:
    server = address(cluster, "shop", "web-0")
    capture = apply("alone", CLIENT)
    capture.until(lambda status: status.get("phase") == "Capturing")
    client = cluster.nodes[0].exec_in_pod("shop", "client")
    oracle = tmp_path / "all.pcap"
    with tcpdump(cluster, "shop", "client", oracle, "tcp port 80"):
        cluster.processes.stop("kube-apiserver")
        away = time.monotonic()
        while time.monotonic() - away < MINUTE:
            client("wget", "-q", "-O", "-", f"http://{server}/")
            time.sleep(5)
        cluster.processes.restart("kube-apiserver")
        wait_until(cluster.is_ready)
    capture.until(lambda status: status["packets"] >= 80)
    status = capture.stop()
    account_adds_up(status)
    capture.until(lambda status: all(file.get("sha256") for file in capture.node("n1")["files"]))
    (file,) = capture.files(cluster.nodes[0])
    assert Counter(read_pcapng(file).data) == Counter(read_pcap(oracle).data)
    assert not capture.node("n1")["interruptions"]
