"""A capture and its parts -> what is to be done; the same again from whatever state a controller finds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from capture.cluster.admission import admitted
from capture.cluster.capture_status import story
from capture.cluster.decision import Decision, Situation, decide
from capture.cluster.kube import ObjectMetadata, plain
from capture.cluster.objects import CaptureObject, CaptureReference, FileEntry, NodeCapture, NodeStatus, PodEntry
from capture.cluster.quota import Quota, RunningCount

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
REFERENCE = CaptureReference(kind="PacketCapture", name="c", namespace="shop", uid="u")
SPEC = {"target": {"selector": {"matchLabels": {"app": "web"}}}}


def pod(node: str, name: str = "web-0") -> PodEntry:
    return PodEntry(namespace="shop", name=name, uid=f"uid-{name}", node=node)


def situation(spec: Any = SPEC, **given: Any) -> Situation:
    parts = given.pop("parts", [])
    before = given.pop("before", None)
    capture = CaptureObject(metadata=ObjectMetadata(name="c", namespace="shop", uid="u", generation=1), spec=spec)
    if before is not None:
        capture.status = before
    defaults: dict[str, Any] = {
        "pods": {"n1": [pod("n1")]},
        "alive": lambda _: True,
        "room": lambda _: None,
        "waiting_for": "no pod matches",
        "now": NOW,
    }
    document = admitted("PacketCapture", "c", "shop", spec)
    return Situation(capture=capture, reference=REFERENCE, document=document, parts=parts, **(defaults | given))


def part_of(decision: Decision, phase: str = "Capturing", **status: Any) -> NodeCapture:
    """Return the one part that was created, as its agent reports it."""
    (spec,) = decision.create
    stored = msgspec.json.decode(msgspec.json.encode(spec), type=type(spec))
    return NodeCapture(
        metadata=ObjectMetadata(name="p", labels={}), spec=stored, status=NodeStatus(phase=phase, **status)
    )


def complete(decision: Decision) -> tuple[str, str]:
    condition = decision.status.condition("Complete")
    assert condition is not None
    return condition.status, condition.reason


def test_a_node_with_pods_gets_a_part_once() -> None:
    first = decide(situation())
    assert [spec.node for spec in first.create] == ["n1"]
    assert first.status.phase == "Starting"
    again = decide(situation(parts=[part_of(first)]))
    assert (again.create, again.change, again.status.phase) == ([], [], "Capturing")


def test_without_a_pod_it_waits_and_says_for_what() -> None:
    decision = decide(situation(pods={}))
    assert (decision.create, decision.status.phase, complete(decision)) == ([], "Waiting", ("False", "NoSuchPod"))


def test_a_node_that_gets_pods_later_gets_what_is_left_of_the_duration() -> None:
    spec = SPEC | {"limits": {"duration": "60s"}}
    part = part_of(decide(situation(spec)), started_at=NOW)
    later = situation(
        spec, parts=[part], pods={"n1": [pod("n1")], "n2": [pod("n2", "web-1")]}, now=NOW + timedelta(seconds=45)
    )
    later.capture.status.started_at = NOW
    (created,) = decide(later).create
    assert (created.node, created.document["limits"]["duration"]) == ("n2", "15s")


def test_pods_that_come_and_go_change_the_part() -> None:
    part = part_of(decide(situation()))
    present = [pod("n1"), pod("n1", "web-2")]
    ((changed, patch),) = decide(situation(parts=[part], pods={"n1": present})).change
    assert changed is part
    assert [entry["name"] for entry in patch["pods"]] == ["web-0", "web-2"]
    ((_, patch),) = decide(situation(parts=[part], pods={})).change
    assert patch == {"pods": []}


def test_a_stop_is_an_order_to_the_parts_that_run() -> None:
    part = part_of(decide(situation()))
    stopped = SPEC | {"limits": {"stopAt": "2026-11-30T11:00:00Z"}}
    ((_, patch),) = decide(situation(stopped, parts=[part])).change
    assert patch == {"stop": True}
    part.spec.stop = True
    part.status = NodeStatus(phase="Captured", reason="Stopped", packets=7)
    ended = decide(situation(stopped, parts=[part]))
    assert (complete(ended), ended.status.packets, ended.change) == (("True", "Stopped"), 7, [])


def test_a_stop_before_the_first_pod_completes_it() -> None:
    decision = decide(situation(SPEC | {"limits": {"stopAt": "2026-11-30T11:00:00Z"}}))
    assert (decision.create, complete(decision)) == ([], ("True", "Stopped"))


def test_a_complete_capture_begins_nothing_more() -> None:
    part = part_of(decide(situation()), "Captured", reason="Duration")
    done = decide(situation(parts=[part]))
    after = decide(situation(parts=[part], before=done.status, pods={"n2": [pod("n2")]}))
    assert (after.create, complete(after)) == ([], ("True", "Duration"))


def test_its_time_to_live_begins_with_its_end() -> None:
    spec = SPEC | {"storage": {"ttl": "10m"}}
    part = part_of(decide(situation(spec)), "Captured", reason="Duration")
    done = decide(situation(spec, parts=[part]))
    assert not done.expired
    later = situation(spec, parts=[part], before=done.status, now=NOW + timedelta(minutes=10))
    assert decide(later).expired


def test_a_missing_agent_degrades_it_and_does_not_hold_it_up_for_ever() -> None:
    spec = SPEC | {"limits": {"duration": "60s"}}
    part = part_of(decide(situation(spec)), started_at=NOW)
    running = decide(situation(spec, parts=[part], alive=lambda _: False))
    degraded = running.status.condition("Degraded")
    assert degraded is not None
    assert (degraded.status, degraded.reason, complete(running)[0]) == ("True", "AgentMissing", "False")
    over = situation(spec, parts=[part], alive=lambda _: False, before=running.status, now=NOW + timedelta(minutes=5))
    assert complete(decide(over))[0] == "True"


def test_without_room_it_is_queued_with_the_reason() -> None:
    decision = decide(situation(room=lambda _: "8 captures run on node n1, which is the most; place 1 in the queue"))
    assert (decision.create, decision.status.phase, complete(decision)) == ([], "Queued", ("False", "Queued"))


@pytest.mark.parametrize(
    ("change", "ignored"),
    [
        ({"limits": {"stopAt": "2030-01-01T00:00:00Z"}}, False),
        ({"storage": {"ttl": "1h"}}, False),
        ({"limits": {"buffer": "64Mi"}}, False),  # the default, which the API server fills in
        ({"limits": {"packets": 5}}, True),
        ({"expression": "udp"}, True),
        ({"target": {"selector": {"matchLabels": {"app": "api"}}}}, True),
    ],
    ids=str,
)
def test_a_change_after_the_start_is_said_to_be_ignored(change: Any, ignored: bool) -> None:
    part = part_of(decide(situation()))
    accepted = decide(situation(SPEC | change, parts=[part])).status.condition("Accepted")
    assert accepted is not None
    assert (accepted.reason == "ChangeIgnored") is ignored


def test_the_quota_counts_captures_of_the_namespace_and_of_each_node() -> None:
    quota = Quota(per_node=2, per_namespace=1)
    assert quota.refusal("shop", ["n1"], RunningCount({}, {"n1": 1})) is None
    assert quota.refusal("shop", ["n1"], RunningCount({"shop": 1}, {})) is not None
    assert quota.refusal("", ["n1", "n2"], RunningCount({}, {"n2": 2}), ["a"]) == (
        "2 captures run on node n2, which is the most; place 2 in the queue"
    )


def test_a_status_of_a_thousand_nodes_has_room_in_an_object_and_shows_those_in_trouble() -> None:
    """etcd takes a megabyte and a half."""
    files = [
        FileEntry(f"{'c' * 100}-{'n' * 80}-{number}.pcapng", 1 << 40, "0" * 64, NOW, NOW) for number in range(32)
    ]
    nodes = [f"node-{number:04}" for number in range(1000)]
    decision = decide(situation(pods={node: [pod(node)] for node in nodes}))
    parts = []
    for spec in decision.create:
        failed = spec.node == "node-0999"
        status = NodeStatus(
            phase="Failed" if failed else "Capturing",
            packets=10,
            message="m" * 1000,
            interfaces=["shop/web-0:eth0"] * 32,
            files=files,
            file_count=32,
        )
        parts.append(NodeCapture(metadata=ObjectMetadata(name=spec.node), spec=spec, status=status))
    told = decide(situation(pods={node: [pod(node)] for node in nodes}, parts=parts)).status
    assert len(msgspec.json.encode(plain(told))) < 1 << 20
    assert (told.node_summary, told.packets) == ("999/1000", 10_000)
    assert told.nodes[-1].node == "node-0999"
    assert [node.node for node in told.nodes[:-1]] == nodes[:99]
    assert len(story(decision.status, told)) <= 110
