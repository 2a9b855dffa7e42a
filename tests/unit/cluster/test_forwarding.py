"""What fired on a node, or an alert -> the nodes that are told, once, and not too often."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from capture.cluster.forwarding import Alarm, forwarding
from capture.cluster.kube import ObjectMetadata
from capture.cluster.objects import CaptureReference, NodeCapture, NodeCaptureSpec, NodeStatus, PodEntry
from capture.cluster.recorder_objects import FIRINGS_SHOWN, FiredOrder, Firing, NodeRecorder

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
REFERENCE = CaptureReference(kind="PacketCapture", name="c", namespace="shop", uid="u")
PODS = {
    "client": ("n1", "10.1.0.5"),
    "web": ("n2", "10.2.0.7"),
    "six": ("n3", "fd00::3"),
    "other": ("n4", "10.4.0.9"),
}
WEB = "tcp 10.1.0.5:4000 > 10.2.0.7:80"


@dataclass
class Nodes:
    """Recorders on four nodes, with one pod each; n1 knows the pod of n2 as well, because a rule names it."""

    parts: dict[str, NodeCapture] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (node, ip) in PODS.items():
            pods = [PodEntry("shop", name, name, node, ips=[ip])]
            if node == "n1":
                pods.append(PodEntry("shop", "web", "web", "n2", ips=["10.2.0.7"]))
            spec = NodeCaptureSpec(node, REFERENCE, {"record": {"before": "5s"}}, pods)
            status = NodeStatus(phase="Capturing", recorder=NodeRecorder())
            self.parts[node] = NodeCapture(ObjectMetadata(name=node), spec, status)

    def fires(self, node: str, session: str = WEB, number: int = 1, **more: Any) -> None:
        """Let a node report a firing."""
        recorder = self.parts[node].status.recorder
        assert recorder is not None
        firing = Firing(f"{node}-{number}", NOW, rule="retransmitted>=1", session=session)
        for name, value in more.items():
            setattr(firing, name, value)
        recorder.firings.append(firing)

    def told(self, now: datetime = NOW, *alarms: Alarm) -> dict[str, list[str]]:
        """Decide, as a controller that knows nothing but the objects, and keep the orders. Returns the new ones."""
        found = forwarding([*self.parts.values()], alarms, now)
        new = {}
        for node, orders in found.orders.items():
            before = {order.id for order in self.parts[node].spec.fired}
            new[node] = [order.id for order in orders if order.id not in before]
            self.parts[node].spec.fired = orders
        return new

    @property
    def count(self) -> int:
        return forwarding([*self.parts.values()], (), NOW).count


@pytest.fixture
def nodes() -> Nodes:
    return Nodes()


SESSIONS = [
    (WEB, {"n2"}),
    ("tcp 10.2.0.7:80 > 10.1.0.5:4000", {"n2"}),
    ("icmp 10.1.0.5 > 10.4.0.9", {"n4"}),
    ("udp [fd00::3]:53 > [fd00::9]:1024", {"n3"}),
    ("icmpv6 fd00::9 > fd00:0::3", {"n3"}),
    ("tcp 192.0.2.1:4000 > 192.0.2.2:80", set()),
    ("", {"n2", "n3", "n4"}),
    ("not a conversation", {"n2", "n3", "n4"}),
]


@pytest.mark.parametrize(("session", "told"), SESSIONS, ids=[session for session, _ in SESSIONS])
def test_a_firing_goes_to_the_other_nodes_that_hold_the_conversation(
    nodes: Nodes, session: str, told: set[str]
) -> None:
    nodes.fires("n1", session)
    assert nodes.told() == {node: ["n1-1"] for node in told}


def test_a_node_that_records_at_interfaces_may_hold_any_conversation(nodes: Nodes) -> None:
    nodes.parts["n4"].spec.document = {"target": {"interfaces": ["eth0"]}}
    nodes.fires("n1")
    assert nodes.told().keys() == {"n2", "n4"}


def test_an_order_says_what_fired_and_when(nodes: Nodes) -> None:
    nodes.fires("n1", community_id="1:abc")
    nodes.told(NOW + timedelta(seconds=1))
    (order,) = nodes.parts["n2"].spec.fired
    sent = NOW + timedelta(seconds=1)
    assert order == FiredOrder("n1-1", 1, NOW, sent, "n1", "retransmitted>=1", "", WEB, "1:abc")


def test_nothing_is_told_twice(nodes: Nodes) -> None:
    nodes.fires("n1")
    assert nodes.told()
    for later in range(30):
        assert nodes.told(NOW + timedelta(seconds=later)) == {}
    assert nodes.count == 1


def test_an_order_that_did_not_reach_one_node_is_the_same_the_next_time(nodes: Nodes) -> None:
    nodes.fires("n1", "")
    nodes.told()
    lost = nodes.parts["n3"].spec.fired.pop()
    assert nodes.told() == {"n3": ["n1-1"]}
    assert nodes.parts["n3"].spec.fired == [lost]
    assert nodes.count == 1


def test_one_firing_a_second_is_forwarded_and_the_oldest_first(nodes: Nodes) -> None:
    for number in range(5):
        nodes.fires("n1", number=number, at=NOW - timedelta(milliseconds=number))
    times = [NOW + timedelta(milliseconds=100 * tenth) for tenth in range(25)]
    assert [(at - NOW, told["n2"]) for at in times if (told := nodes.told(at))] == [
        (timedelta(seconds=0), ["n1-4"]),
        (timedelta(seconds=1), ["n1-3"]),
        (timedelta(seconds=2), ["n1-2"]),
    ]
    assert nodes.count == 3


def test_a_firing_without_another_node_takes_no_turn(nodes: Nodes) -> None:
    nodes.fires("n1", "tcp 192.0.2.1:4000 > 192.0.2.2:80", at=NOW - timedelta(seconds=1))
    nodes.fires("n1", number=2)
    assert nodes.told() == {"n2": ["n1-2"]}


def test_a_node_that_has_fired_for_the_conversation_itself_is_not_told(nodes: Nodes) -> None:
    nodes.fires("n1", community_id="1:abc")
    nodes.fires("n2", community_id="1:abc")
    assert nodes.told() == {}
    nodes.fires("n2", number=2, community_id="1:def")
    assert nodes.told() == {"n1": ["n2-2"]}


@pytest.mark.parametrize("gone", ["ended", "stopped", "deleted"])
def test_a_recorder_that_ends_is_told_nothing(nodes: Nodes, gone: str) -> None:
    part = nodes.parts["n2"]
    if gone == "ended":
        part.status.phase = "Captured"
    elif gone == "stopped":
        part.spec.stop = True
    else:
        part.metadata.deletion_timestamp = NOW
    nodes.fires("n1")
    assert nodes.told() == {}


def test_what_fired_long_ago_is_not_forwarded(nodes: Nodes) -> None:
    nodes.fires("n1", at=NOW - timedelta(minutes=2))
    assert nodes.told() == {}


def test_a_node_keeps_the_latest_orders(nodes: Nodes) -> None:
    for second in range(20):
        nodes.fires("n1", number=second)
        nodes.told(NOW + timedelta(seconds=second))
    assert [order.number for order in nodes.parts["n2"].spec.fired] == list(range(21 - FIRINGS_SHOWN, 21))


def test_an_alert_is_for_all_nodes_and_once(nodes: Nodes) -> None:
    alarm = Alarm("alert-1", "CheckoutSlow", "p99 is 3 s")
    everywhere = {node: ["alert-1"] for node in nodes.parts}
    assert nodes.told(NOW, alarm) == everywhere
    assert nodes.told(NOW + timedelta(hours=4), alarm) == {}
    assert forwarding([*nodes.parts.values()], [alarm], NOW).sent == {"alert-1"}
    order = nodes.parts["n3"].spec.fired[0]
    assert (order.source, order.rule, order.reason) == ("alertmanager", "CheckoutSlow", "p99 is 3 s")


def test_an_alert_takes_a_turn_like_a_firing(nodes: Nodes) -> None:
    nodes.fires("n1")
    nodes.told()
    alarm = Alarm("alert-1", "CheckoutSlow")
    assert forwarding([*nodes.parts.values()], [alarm], NOW).sent == {"n1-1"}
    assert forwarding([*nodes.parts.values()], [alarm], NOW + timedelta(seconds=1)).sent == {"n1-1", "alert-1"}
