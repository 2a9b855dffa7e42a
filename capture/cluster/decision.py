"""A capture, its NodeCaptures and the state of the cluster -> what is to be created, changed and deleted.

Nothing is remembered between two decisions: whoever decides next, after whatever was lost, comes to the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from capture.cluster.admission import checked_spec
from capture.cluster.capture_status import AGENT_MISSING, COMPLETE, QUEUED, UPLOADED, RunState, status_of
from capture.cluster.forwarding import Alarm, forwarding
from capture.cluster.kube import plain
from capture.cluster.objects import (
    ENDED,
    FAILED,
    PENDING,
    CaptureObject,
    CaptureReference,
    CaptureStatus,
    NodeCapture,
    NodeCaptureSpec,
    NodeStatus,
    PodEntry,
    StoreOrder,
)
from capture.cluster.recorder_objects import FiredOrder
from capture.request.document import Document, as_json
from capture.units import parse_duration

TTL_DEFAULT = timedelta(hours=24)
MISSING_GRACE = timedelta(seconds=60)
"""Time after the end of a capture that a missing agent has to come back and complete its part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a decision depends on. `pods` has the nodes with pods to capture at."""

    capture: CaptureObject
    reference: CaptureReference
    document: Document
    pods: Mapping[str, list[PodEntry]]
    parts: Sequence[NodeCapture]
    alive: Callable[[str], bool]
    """True if the agent of a node is alive."""
    room: Callable[[Sequence[str]], str | None]
    """Why a capture may not begin on these nodes now; None if it may."""
    waiting_for: str
    now: datetime
    store: StoreOrder | None = None
    """Where finished files are uploaded to."""
    no_store: str | None = None
    """Why the store that the capture names cannot be used; None if it can, or if it names none."""
    alarms: Sequence[Alarm] = ()
    """Alerts that select the capture, which is a recorder."""


@dataclass(slots=True)
class Decision:
    """What is to be done."""

    status: CaptureStatus
    create: list[NodeCaptureSpec] = field(default_factory=list)
    change: list[tuple[NodeCapture, dict[str, Any]]] = field(default_factory=list)
    """NodeCaptures, each with a merge patch of its spec."""
    expired: bool = False
    """True if the time of the complete capture is over."""
    sent: set[str] = field(default_factory=set)
    """Alarms and firings that are on their way to nodes."""


def decide(given: Situation) -> Decision:
    """Decide about an accepted capture that is not being deleted."""
    before = given.capture.status
    done = before.condition(COMPLETE)
    complete = done is not None and done.status == "True"
    parts = {part.spec.node: part for part in given.parts}
    stopped = _is_over(given.document.limits.stop_at, given.now)
    create: list[NodeCaptureSpec] = []
    queued = None
    wanted = [node for node in given.pods if node not in parts]
    document = _for_node(given.document, before.started_at, given.now)
    if not (complete or stopped or document is None) and wanted:
        queued = given.no_store or given.room(wanted)
        if queued is None:
            create = [
                NodeCaptureSpec(node, given.reference, as_json(document), given.pods[node], store=given.store)
                for node in wanted
            ]
    told = forwarding(given.parts, given.alarms, given.now)
    change = [
        (part, patch)
        for part in parts.values()
        if part.metadata.deletion_timestamp is None
        and (patch := _patch(part, given.pods, stopped) | _fire(part, told.orders))
    ]
    over = stopped or _deadline_is_over(given.document, before.started_at, given.now)
    nodes = [_report(part, given.alive(part.spec.node), over) for part in parts.values()]
    nodes += [_starting(spec.node, given.alive(spec.node)) for spec in create]
    if queued is not None and parts:
        nodes += [NodeStatus(node=node, reason=QUEUED, message=queued) for node in wanted]
        queued = None
    progress = RunState(
        generation=given.capture.metadata.generation,
        nodes=nodes,
        waiting_for=given.waiting_for,
        queued=queued,
        stopped=stopped,
        ignored=_ignored(given.document, given.parts),
        uploads=given.document.store.name is not None,
        forwarded=told.count,
    )
    status = status_of(before, progress, given.now)
    return Decision(status, create, change, _is_expired(given.document, status, given.now), told.sent)


def _is_over(at: datetime | None, now: datetime) -> bool:
    return at is not None and at <= now


def _duration(document: Document) -> timedelta | None:
    given = document.limits.duration
    return None if given is None else timedelta(microseconds=parse_duration(str(given), "duration") / 1000)


def _deadline_is_over(document: Document, started: datetime | None, now: datetime) -> bool:
    duration = _duration(document)
    return bool(duration and started and now > started + duration + MISSING_GRACE)


def _for_node(document: Document, started: datetime | None, now: datetime) -> Document | None:
    """Return the document for a node that begins now, with what is left of the duration; None if nothing is.

    The time to stop is not in it: it may be changed, so the agent gets it as an order to stop.
    """
    limits = msgspec.structs.replace(document.limits, stop_at=None)
    duration = _duration(document)
    if duration and started:
        left = (started + duration - now).total_seconds()
        if left < 1:
            return None
        limits = msgspec.structs.replace(limits, duration=f"{left:.0f}s")
    storage = msgspec.structs.replace(document.storage, ttl=None)
    return msgspec.structs.replace(document, limits=limits, storage=storage)


def _patch(part: NodeCapture, pods: Mapping[str, list[PodEntry]], stopped: bool) -> dict[str, Any]:
    if part.status.phase in ENDED:
        return {}
    patch: dict[str, Any] = {}
    if stopped and not part.spec.stop:
        patch["stop"] = True
    present = pods.get(part.spec.node, [])
    if part.spec.pods != present:
        patch["pods"] = plain(present)
    return patch


def _fire(part: NodeCapture, orders: Mapping[str, list[FiredOrder]]) -> dict[str, Any]:
    return {"fired": plain(orders[part.spec.node])} if part.spec.node in orders else {}


def _report(part: NodeCapture, alive: bool, over: bool) -> NodeStatus:
    """Return the status of a NodeCapture. One whose agent is missing does not keep others waiting for ever."""
    status = msgspec.structs.replace(part.status, node=part.spec.node)
    if alive or status.phase in ENDED:
        return status
    text = "the agent of this node does not answer"
    return msgspec.structs.replace(status, phase=FAILED if over else status.phase, reason=AGENT_MISSING, message=text)


def _starting(node: str, alive: bool) -> NodeStatus:
    if alive:
        return NodeStatus(node=node, phase=PENDING, reason="Starting", message="waits for the agent of this node")
    return NodeStatus(node=node, phase=PENDING, reason=AGENT_MISSING, message="no agent runs on this node")


def _ignored(document: Document, parts: Sequence[NodeCapture]) -> str:
    """Say that the spec was changed after the start; "" if it was not."""
    if not parts:
        return ""
    asked = _comparable(msgspec.json.encode(document))
    if any(_comparable(msgspec.json.encode(part.spec.document)) == asked for part in parts):
        return ""
    return "the spec was changed after the start; only limits.stopAt and storage.ttl take effect"


@lru_cache(maxsize=4096)
def _comparable(document: bytes) -> tuple[object, ...]:
    """Return the values of a document that may not be changed later; defaults that are given are none that are not.

    The duration is not among them: a part that begins later has less of it.
    """
    found = msgspec.json.decode(document, type=Document)
    limits = msgspec.structs.replace(found.limits, stop_at=None, duration=None)
    spec = checked_spec(msgspec.structs.replace(found, limits=limits))
    return spec, found.expression, found.conversations


def _is_expired(document: Document, status: CaptureStatus, now: datetime) -> bool:
    ttl = document.storage.ttl
    if document.store.name is not None:
        uploaded = status.condition(UPLOADED)
        if uploaded is None or uploaded.status != "True":
            return False  # what the store has not confirmed is nowhere else
    kept = TTL_DEFAULT if ttl is None else timedelta(microseconds=parse_duration(str(ttl), "ttl") / 1000)
    return status.completed_at is not None and status.completed_at + kept <= now
