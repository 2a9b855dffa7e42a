"""Recorders on nodes -> what the status of their capture says, what its story tells, and what nodes are told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from capture.cluster.admission import admitted
from capture.cluster.capture_status import story
from capture.cluster.decision import Decision, Situation, decide
from capture.cluster.forwarding import Alarm
from capture.cluster.incident_list import new_incidents, summary, without_lists
from capture.cluster.kube import ObjectMetadata, plain
from capture.cluster.objects import CaptureObject, CaptureReference, NodeCapture, NodeStatus, PodEntry
from capture.cluster.recorder_objects import INCIDENTS_SHOWN, FiredOrder, Firing, IncidentEntry, NodeRecorder

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
SPEC = {"target": {"selector": {"matchLabels": {"app": "web"}}}, "triggers": ["retransmitted>=1"]}
PODS = {
    "n1": [PodEntry("shop", "client", "a", "n1", ips=["10.1.0.5"])],
    "n2": [PodEntry("shop", "web", "b", "n2", ips=["10.2.0.7"])],
}
WEB = "tcp 10.1.0.5:4000 > 10.2.0.7:80"


def incident(second: int, complete: bool = True, **more: Any) -> IncidentEntry:
    found = IncidentEntry(f"incident-{second}", rule="rst>0", at=NOW + timedelta(seconds=second), complete=complete)
    return msgspec.structs.replace(found, **more)


def node(name: str, incidents: list[IncidentEntry], **more: Any) -> NodeStatus:
    recorder = NodeRecorder(incidents=incidents, incident_count=len(incidents), **more)
    return NodeStatus(node=name, phase="Capturing", reason="Recording", recorder=recorder)


def test_incidents_of_all_nodes_are_in_order_of_time_each_with_its_node() -> None:
    found = summary([node("n1", [incident(1), incident(3)], fired=4), node("n2", [incident(2)], fired=1)], 2)
    assert found is not None
    assert [(one.node, one.name) for one in found.incidents] == [
        ("n1", "incident-1"), ("n2", "incident-2"), ("n1", "incident-3"),
    ]  # fmt: skip
    assert (found.incident_count, found.fired, found.forwarded) == (3, 5, 2)


def test_a_status_has_the_latest_hundred() -> None:
    nodes = [node(f"n{number}", [incident(100 * number + one) for one in range(100)]) for number in range(100)]
    found = summary(nodes, 0)
    assert found is not None
    assert (len(found.incidents), found.incident_count) == (INCIDENTS_SHOWN, 10_000)
    assert {one.node for one in found.incidents} == {"n99"}
    assert all(not without_lists(one).recorder.incidents for one in nodes)  # type: ignore[union-attr]


def test_a_capture_without_a_recorder_says_nothing_of_one() -> None:
    assert summary([NodeStatus(node="n1")], 0) is None
    assert "recorder" not in plain(without_lists(NodeStatus(node="n1")))
    assert new_incidents(None, None) == []


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ([], [incident(1, complete=False)], []),
        ([incident(1, complete=False)], [incident(1)], ["incident-1"]),
        ([incident(1)], [incident(1)], []),
        ([incident(1)], [incident(2)], ["incident-2"]),
        ([incident(1)], [], []),
    ],
)
def test_an_incident_is_news_once_it_is_complete(
    before: list[IncidentEntry], after: list[IncidentEntry], new: list[str]
) -> None:
    found = new_incidents(summary([node("n1", before)], 0), summary([node("n1", after)], 0))
    assert [one.name for one in found] == new


def decided(parts: list[NodeCapture], alarms: tuple[Alarm, ...] = (), now: datetime = NOW) -> Decision:
    metadata = ObjectMetadata(name="c", namespace="shop", uid="u", generation=1)
    return decide(
        Situation(
            capture=CaptureObject(metadata, SPEC),
            reference=CaptureReference(kind="PacketCapture", name="c", namespace="shop", uid="u"),
            document=admitted("PacketCapture", "c", "shop", SPEC),
            pods=PODS,
            parts=parts,
            alive=lambda _: True,
            room=lambda _: None,
            waiting_for="",
            now=now,
            alarms=alarms,
        )
    )


def running() -> list[NodeCapture]:
    """Parts of both nodes, as their agents report them."""
    made = [msgspec.json.decode(msgspec.json.encode(spec), type=type(spec)) for spec in decided([]).create]
    return [NodeCapture(ObjectMetadata(name=spec.node), spec, node(spec.node, [])) for spec in made]


def test_a_firing_becomes_an_order_of_the_other_node_that_survives_a_json_patch() -> None:
    parts = running()
    recorder = parts[0].status.recorder
    assert recorder is not None
    recorder.firings, recorder.fired = [Firing("n1-1", NOW, rule="retransmitted>=1", session=WEB)], 1
    decision = decided(parts)
    ((changed, patch),) = decision.change
    assert changed.spec.node == "n2"
    (order,) = msgspec.json.decode(msgspec.json.encode(patch["fired"]), type=list[FiredOrder])
    assert (order.id, order.source, order.at, order.session) == ("n1-1", "n1", NOW, WEB)
    assert decision.status.recorder is not None
    assert (decision.status.recorder.fired, decision.status.recorder.forwarded) == (1, 1)
    changed.spec.fired = [order]
    assert decided(parts).change == []


def test_an_alarm_is_an_order_of_every_node() -> None:
    parts = running()
    decision = decided(parts, (Alarm("alert-1", "CheckoutSlow"),))
    assert sorted(part.spec.node for part, _ in decision.change) == ["n1", "n2"]
    assert decision.sent == {"alert-1"}


def test_the_story_tells_of_each_incident() -> None:
    parts = running()
    before = decided(parts).status
    recorder = parts[1].status.recorder
    assert recorder is not None
    recorder.incidents = [incident(1, rule="other-node", reason="n1: retransmitted>=1")]
    after = decided(parts).status
    told = [event.message for event in story(before, after) if event.reason == "Incident"]
    assert told == ["n2: incident-1, because of other-node (n1: retransmitted>=1)"]
    assert [event for event in story(after, after) if event.reason == "Incident"] == []
