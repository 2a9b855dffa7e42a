"""Captures that are objects: both ends of conversations on two nodes, their files, and what users are told."""

import json
from collections import Counter
from pathlib import Path

from testbed.kubernetes.cluster import Cluster
from testbed.tool import bicap, check_with_readers, read_pcap, read_pcapng
from tests.cluster.captures import account_adds_up
from tests.cluster.conftest import Apply
from tests.cluster.pod_traffic import address, fetch, tcpdump


def test_both_ends_of_a_conversation_between_nodes_are_captured_as_tcpdump_sees_them(
    cluster: Cluster, apply: Apply, tmp_path: Path
) -> None:
    server = address(cluster, "shop", "web-0")
    far = "web-0" if cluster.get("pod", "web-0", "-n", "shop")["spec"]["nodeName"] == "n2" else "web-1"
    server = address(cluster, "shop", far)
    capture = apply(
        "both",
        {
            "target": {"point": "Both"},
            "rules": [{"source": {"pod": {"name": "client"}}, "destination": {"pod": {"name": far}, "ports": [80]}}],
        },
    )
    capture.until(lambda status: status.get("nodeSummary") == "2/2" and status["phase"] == "Capturing")
    client = address(cluster, "shop", "client")
    expression = f"host {client} and host {server} and port 80"
    near, there = tmp_path / "client.pcap", tmp_path / "server.pcap"
    with tcpdump(cluster, "shop", "client", near, expression), tcpdump(cluster, "shop", far, there, expression):
        fetch(cluster, server, 20)
    status = capture.stop()
    account_adds_up(status)
    capture.until(lambda status: all(file.get("sha256") for node in status["nodes"] for file in node["files"]))
    files = []
    for node, oracle in zip(cluster.nodes, (near, there), strict=True):
        (file,) = capture.files(node)
        found, expected = read_pcapng(file), read_pcap(oracle)
        assert len(expected.data) >= 200
        assert Counter(found.data) == Counter(expected.data)
        check_with_readers(file, len(expected.data))
        told = capture.node(node.name)
        assert told["packets"] == len(expected.data)
        assert told["forward"]["packets"] + told["reverse"]["packets"] == told["packets"]
        assert told["clock"]
        files.append(str(file))
    legs = bicap("legs", "--json", *files)
    assert legs.code == 0, legs.stderr
    assert json.loads(legs.stdout)


def test_a_user_sees_columns_conditions_and_events(cluster: Cluster, apply: Apply) -> None:
    capture = apply("story", {"target": {"selector": {"matchLabels": {"app": "web"}}}, "limits": {"duration": "4s"}})
    status = capture.wait("Complete")
    assert status["phase"] == "Complete"
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "Accepted": "True",
        "Capturing": "False",
        "Complete": "True",
        "Degraded": "False",
    }
    assert capture.condition("Complete")["reason"] == "Duration"
    header, line = cluster.kubectl("get", "bpcap", "-n", "shop", "story").splitlines()
    assert header.split() == ["NAME", "PHASE", "NODES", "PACKETS", "LOST", "AGE"]
    assert line.split()[:3] == ["story", "Complete", "2/2"]
    described = cluster.kubectl("describe", "packetcapture", "-n", "shop", "story")
    story = described.partition("Events:")[2]
    assert "Capturing" in story
    assert "Complete" in story


def test_a_capture_of_no_pod_says_within_seconds_what_it_waits_for(apply: Apply) -> None:
    capture = apply("nothing", {"target": {"selector": {"matchLabels": {"app": "nowhere"}}}})
    status = capture.until(lambda status: status.get("phase"))
    assert status["phase"] == "Waiting"
    told = capture.condition("Capturing")
    assert told["reason"] == "NoSuchPod"
    assert "app=nowhere" in told["message"]
    assert capture.stop()["conditions"][2]["reason"] == "Stopped"


def test_what_is_not_allowed_is_rejected_with_the_field_and_the_reason(apply: Apply) -> None:
    capture = apply("foreign", {"target": {"pods": [{"namespace": "bank", "name": "vault"}]}})
    capture.until(lambda status: status.get("phase") == "Rejected")
    told = capture.condition("Accepted")
    assert told["status"] == "False"
    assert told["message"].startswith("spec.target.pods[0].namespace bank: a PacketCapture is about pods of its own")
