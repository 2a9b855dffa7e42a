"""Recorders of two nodes, as their agents run them: what one fires, the other writes, and `bicap legs` joins both.

Agents, their processes, interfaces and packets are real; in place of an API server the test carries statuses to the
controller's decision and orders back, as JSON.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capture.agent.file_list import listed_files
from capture.agent.folder import CaptureFolder
from capture.agent.node_capture import CaptureHere, Settings
from capture.agent.pods import NodePods
from capture.cluster.forwarding import Alarm, forwarding
from capture.cluster.kube import ObjectMetadata, plain
from capture.cluster.objects import CaptureReference, NodeCapture, NodeCaptureSpec, NodeStatus, PodEntry
from capture.cluster.recorder_objects import FiredOrder, IncidentEntry, NodeRecorder
from capture.nursery.nursery import Nursery
from testbed.patience import wait_until
from testbed.tool import check_with_readers
from testbed.two_pods import PlainPod
from tests.e2e.test_legs import compared
from tests.e2e.two_nodes import Two, two_nodes

RULE = "retransmitted>=1"
RECORD = {"before": "1m", "after": "3s", "memory": "16Mi", "cooldown": "1h"}
SERVE = """
import socket
with socket.create_server(("", 4000)) as server:
    print("serving", flush=True)
    while True:
        out, _ = server.accept()
        with out:
            while data := out.recv(1 << 16):
                out.sendall(data)
"""
TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], 4000)) as out:
    for number in range(20):
        out.sendall(b"question %d " % number + bytes(100))
        assert out.recv(1 << 16)
"""


class NoRuntime(NodePods):
    """The pods of a node that has no runtime: none, so only interfaces are recorded at."""

    def __init__(self) -> None:
        self._pods = {}


@dataclass
class RecorderNodes:
    """An object with a recorder on both nodes, from its first part to its last."""

    on: Two
    folder: Path
    nursery: Nursery
    spec: dict[str, Any]
    pods: NodePods = field(default_factory=NoRuntime)
    parts: dict[str, NodeCapture] = field(default_factory=dict)
    here: dict[str, CaptureHere] = field(default_factory=dict)
    alarms: list[Alarm] = field(default_factory=list)

    def __post_init__(self) -> None:
        pods = zip(("n1", "n2"), self.on.nodes, (self.on.client, self.on.server), strict=True)
        for node, netns, pod in pods:
            self.parts[node] = self._part(node, netns, pod)
            self.take_over(node)

    def _part(self, node: str, netns: str, pod: PlainPod) -> NodeCapture:
        target = {"interfaces": [pod.veth], "netns": netns}
        entries = [PodEntry("shop", pod.veth, pod.veth, node, ips=[pod.ip4])]
        capture = CaptureReference(kind="ClusterPacketCapture", name="c", uid=f"uid-{node}")
        spec = NodeCaptureSpec(node, capture, {"target": target} | self.spec, entries)
        return NodeCapture(ObjectMetadata(name=node), spec)

    def take_over(self, node: str) -> None:
        """Let an agent begin with the capture on its node."""
        before = self.here.get(node)
        if before is not None:
            before.end("AgentStopped", "the agent ends")

            def ended() -> bool:
                before.hear()
                return not before.runs

            wait_until(ended)
        settings = Settings(node, "1MiB", self.folder, lambda _: b"")
        self.here[node] = CaptureHere(self.parts[node], CaptureFolder(self.folder / f"uid-{node}"), settings)

    def step(self) -> None:
        """Let both agents and the controller do what is due."""
        for node, here in self.here.items():
            here.step(self.nursery, self.pods, None)
            for name in here.undigested():
                here.digested(name, here.folder.digest(name) or "")
            status = msgspec.json.encode(plain(here.status()))
            self.parts[node].status = msgspec.json.decode(status, type=NodeStatus)
        found = forwarding([*self.parts.values()], self.alarms, datetime.now(UTC))
        for node, orders in found.orders.items():
            sent = msgspec.json.encode(plain(orders))
            self.parts[node].spec.fired = msgspec.json.decode(sent, type=list[FiredOrder])

    def until(self, reached: Callable[[], object]) -> None:
        """Go on until it is so."""

        def stepped() -> object:
            self.step()
            return reached()

        wait_until(stepped, lambda: json.dumps([plain(part.status) for part in self.parts.values()], indent=1))

    def recorder(self, node: str) -> NodeRecorder:
        """Return what the status of a node says of its recorder."""
        found = self.parts[node].status.recorder
        assert found is not None
        return found

    def incidents(self, node: str) -> list[IncidentEntry]:
        """Return the complete incidents of a node."""
        return [entry for entry in self.recorder(node).incidents if entry.complete]

    def file(self, node: str) -> Path:
        """Return the only incident of a node."""
        (entry,) = self.incidents(node)
        return self.folder / f"uid-{node}" / entry.name

    def records(self) -> bool:
        """True if both remember packets."""
        return all(part.status.reason == "Recording" for part in self.parts.values())

    def stop(self) -> None:
        """End both, and wait."""
        for part in self.parts.values():
            part.spec.stop = True
        self.until(lambda: all(here.is_over for here in self.here.values()))


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def on() -> Iterator[Two]:
    with two_nodes(f"bicap-{uuid.uuid4().hex[:6]}", hide_client=False) as on:
        yield on


@pytest.fixture
def server(on: Two) -> Iterator[None]:
    process = subprocess.Popen(on.server.exec(sys.executable, "-c", SERVE), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        yield
    finally:
        process.kill()
        process.communicate()


def adds_up(status: NodeStatus) -> None:
    assert status.recorder is not None
    assert status.seen == status.unmatched + status.matched
    assert status.matched == status.sampled_out + status.over_limit + status.lost + status.recorder.remembered


def test_a_retransmission_seen_on_one_node_brings_both_ends_and_the_leg_that_lost_it(
    on: Two, server: None, nursery: Nursery, tmp_path: Path
) -> None:
    # The copy that node-b drops has passed the client's interface, and never comes to the server's.
    on.drop(f"-d {on.server.ip4} -p tcp --dport 4000 -m length --length 100:65535", every=7)
    nodes = RecorderNodes(on, tmp_path, nursery, {"record": RECORD, "triggers": [RULE]})
    nodes.parts["n2"].spec.document.pop("triggers")  # so that nothing but n1 fires it
    nodes.until(nodes.records)
    subprocess.run(on.client.exec(sys.executable, "-c", TALK, on.server.ip4), check=True)
    nodes.until(lambda: nodes.incidents("n1") and nodes.incidents("n2"))
    assert on.dropped > 0

    (first,), (second,) = nodes.incidents("n1"), nodes.incidents("n2")
    assert (first.rule, second.rule, second.reason) == (RULE, "other-node", f"n1: {RULE}")
    assert second.session == first.session
    told = json.loads(Path(f"{nodes.file('n2')}.json").read_text())
    fired = json.loads(Path(f"{nodes.file('n1')}.json").read_text())
    assert abs(told["fired_ns"] - fired["fired_ns"]) < 1_000_000, "it is written around the time of the firing"
    assert told["labels"]["firing"] == "n1-1"
    assert told["labels"]["communityId"].startswith("1:")
    assert nodes.recorder("n1").fired >= 1
    assert nodes.recorder("n2").fired == 0, "what came from another node is not a firing of its own"
    assert nodes.parts["n1"].spec.fired == []

    for node in ("n1", "n2"):
        check_with_readers(nodes.file(node), nodes.incidents(node)[0].packets)
        listed = {file.name: file for file in listed_files(CaptureFolder(tmp_path / f"uid-{node}")) or ()}
        assert listed.keys() == {nodes.file(node).name, f"{nodes.file(node).name}.json"}
        assert all(file.complete and file.sha256 for file in listed.values())
    legs = compared("--one-clock", nodes.file("n1"), nodes.file("n2"))["legs"]
    lost = {(leg["source"]["interface"], leg["target"]["interface"]): leg["lost"] for leg in legs if leg["lost"]}
    assert lost == {("pod-a", "pod-b"): on.dropped}

    nodes.stop()
    for node in ("n1", "n2"):
        status = nodes.parts[node].status
        assert (status.phase, status.reason, status.message) == ("Captured", "Stopped", "stopped, 1 incident")
        adds_up(status)


def test_an_alert_brings_the_packets_of_every_node_and_only_once(
    on: Two, server: None, nursery: Nursery, tmp_path: Path
) -> None:
    nodes = RecorderNodes(on, tmp_path, nursery, {"record": RECORD | {"cooldown": "0", "after": "0"}})
    nodes.until(nodes.records)
    subprocess.run(on.client.exec(sys.executable, "-c", TALK, on.server.ip4), check=True)
    nodes.alarms.append(Alarm("alert-1", "CheckoutSlow", "p99 is 3 s"))
    nodes.until(lambda: nodes.incidents("n1") and nodes.incidents("n2"))
    nodes.take_over("n2")  # its process ends, and another agent finds the order
    nodes.until(nodes.records)
    nodes.stop()
    for node in ("n1", "n2"):
        (entry,) = nodes.incidents(node)
        assert (entry.rule, entry.reason) == ("alertmanager", "CheckoutSlow: p99 is 3 s")
        assert entry.packets > 40
        assert nodes.recorder(node).fired == 0


def test_a_rule_that_is_wrong_says_so_in_the_status(on: Two, nursery: Nursery, tmp_path: Path) -> None:
    nodes = RecorderNodes(on, tmp_path, nursery, {"triggers": ["retransmited>=1"]})
    nodes.until(lambda: all(here.is_over for here in nodes.here.values()))
    for part in nodes.parts.values():
        assert (part.status.phase, part.status.reason) == ("Failed", "Invalid")
        assert "retransmitted" in part.status.message
