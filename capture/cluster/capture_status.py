"""What became of a capture on its nodes -> the status of the capture, and the events that tell its story."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from capture.cluster.incident_list import new_incidents, summary, without_lists
from capture.cluster.objects import (
    CAPTURED,
    CAPTURING,
    ENDED,
    FAILED,
    FILES_SHOWN,
    PENDING,
    WAITING,
    CaptureStatus,
    Condition,
    NodeStatus,
    UploadStatus,
)
from capture.units import format_count

ACCEPTED, CAPTURING_NOW, COMPLETE, DEGRADED = "Accepted", "Capturing", "Complete", "Degraded"
UPLOADED, UPLOAD_FAILED = "Uploaded", "UploadFailed"
AGENT_MISSING, QUEUED, NO_SUCH_POD = "AgentMissing", "Queued", "NoSuchPod"
MESSAGE_MAX = 1024
NODES_SHOWN = 100
"""Most nodes that a status lists; sums are over all. An object has room for a megabyte and a half."""


@dataclass(frozen=True, slots=True)
class CaptureEvent:
    """One line of a capture's story."""

    reason: str
    message: str
    warning: bool = False


def rejected(before: CaptureStatus, generation: int, message: str, now: datetime) -> CaptureStatus:
    """Return the status of a capture that must not run."""
    status = CaptureStatus(observed_generation=generation, phase="Rejected")
    given = {
        ACCEPTED: ("False", "Invalid", message),
        CAPTURING_NOW: ("False", "Invalid", ""),
        COMPLETE: ("False", "Invalid", ""),
        DEGRADED: ("False", "Invalid", ""),
    }
    status.conditions = _conditions(before, given, generation, now)
    return status


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """All that the status of an accepted capture follows from.

    `waiting_for` says which pods there are none of; `queued` why it may not run yet, None if it may; `stopped` is
    True if a user has ended it; `ignored` says which change of the spec came too late; `uploads` is True if the
    capture names a store; `forwarded` counts the firings that other nodes were told of.
    """

    generation: int
    nodes: Sequence[NodeStatus]
    waiting_for: str
    queued: str | None = None
    stopped: bool = False
    ignored: str = ""
    uploads: bool = False
    forwarded: int = 0
    accepted: str = "the capture is valid"


def status_of(before: CaptureStatus, progress: RunState, now: datetime) -> CaptureStatus:
    """Return the status of an accepted capture."""
    nodes = sorted(progress.nodes, key=lambda node: node.node)
    status = CaptureStatus(
        observed_generation=progress.generation,
        packets=sum(node.packets for node in nodes),
        lost=sum(node.lost for node in nodes),
        nodes=shown([without_lists(node) for node in nodes]),
        recorder=summary(nodes, progress.forwarded),
        started_at=before.started_at or min((n.started_at for n in nodes if n.started_at), default=None),
    )
    active = [node for node in nodes if node.phase == CAPTURING]
    status.node_summary = f"{sum(node.phase in (CAPTURING, CAPTURED) for node in nodes)}/{len(nodes)}"
    complete = _completion(before, progress, nodes)
    given = {
        ACCEPTED: ("True", "ChangeIgnored" if progress.ignored else "Valid", progress.ignored or progress.accepted),
        CAPTURING_NOW: _capturing(progress, nodes, active, complete is not None),
        COMPLETE: ("False", *_waiting(progress, nodes)) if complete is None else ("True", *complete),
        DEGRADED: _degraded(nodes),
    }
    if progress.uploads:
        given[UPLOADED] = _uploaded(nodes, complete is not None)
    status.phase = _phase(progress, nodes, active, complete is not None)
    if complete is not None:
        status.completed_at = before.completed_at or now
    status.conditions = _conditions(before, given, progress.generation, now)
    return status


def shown(nodes: Sequence[NodeStatus]) -> list[NodeStatus]:
    """Return the nodes that a status lists, in order of their names: a capture may run on a thousand.

    Those in trouble come first. What a status lists of each has a bounded size, so the whole has, too.
    """
    if len(nodes) <= NODES_SHOWN:
        return list(nodes)
    chosen = sorted(nodes, key=lambda node: (not _in_trouble(node), node.phase in ENDED, node.node))[:NODES_SHOWN]
    files = max(1, FILES_SHOWN // 8)
    brief = [
        msgspec.structs.replace(
            node, files=node.files[-files:], interfaces=node.interfaces[:files], message=node.message[:256]
        )
        for node in chosen
    ]
    return sorted(brief, key=lambda node: node.node)


def _in_trouble(node: NodeStatus) -> bool:
    return node.phase == FAILED or node.reason == AGENT_MISSING or bool(node.interruptions or node.lost)


def _completion(before: CaptureStatus, progress: RunState, nodes: Sequence[NodeStatus]) -> tuple[str, str] | None:
    """Return reason and message of the end; None if the capture is not complete. What is complete stays so."""
    done = before.condition(COMPLETE)
    if done is not None and done.status == "True":
        return done.reason, done.message
    if nodes and all(node.phase in ENDED for node in nodes):
        reasons = list(dict.fromkeys(node.reason for node in nodes))
        packets = sum(node.packets for node in nodes)
        lost = sum(node.lost for node in nodes)
        where = format_count(len(nodes), "node")
        return (
            reasons[0] if len(reasons) == 1 else "Ended",
            f"{format_count(packets, 'packet')} from {where}, {lost:,} lost: {_each(nodes)}",
        )
    if not nodes and progress.stopped:
        return "Stopped", "stopped before there was a pod to capture at"
    return None


def _each(nodes: Sequence[NodeStatus]) -> str:
    return _brief("; ".join(f"{node.node} {node.message or node.reason}" for node in nodes))


def _waiting(progress: RunState, nodes: Sequence[NodeStatus]) -> tuple[str, str]:
    if progress.queued is not None:
        return QUEUED, progress.queued
    if not nodes:
        return NO_SUCH_POD, progress.waiting_for
    left = [node.node for node in nodes if node.phase not in ENDED]
    return "Running", _brief(f"not ended on {', '.join(left)}")


def _capturing(
    progress: RunState, nodes: Sequence[NodeStatus], active: Sequence[NodeStatus], complete: bool
) -> tuple[str, str, str]:
    if active:
        where = ", ".join(node.node for node in active)
        return "True", "Capturing", _brief(f"packets are being caught on {where}")
    if complete:
        return "False", "Complete", ""
    if nodes and progress.queued is None:
        first = next((node for node in nodes if node.phase not in ENDED), nodes[0])
        return "False", first.reason or first.phase, _brief(f"{first.node}: {first.message}")
    return "False", *_waiting(progress, nodes)


def _degraded(nodes: Sequence[NodeStatus]) -> tuple[str, str, str]:
    failed = [node for node in nodes if node.phase == FAILED or node.reason == AGENT_MISSING]
    if failed:
        return "True", failed[0].reason, _each(failed)
    interrupted = [node for node in nodes if node.interruptions]
    if interrupted:
        count = format_count(sum(len(node.interruptions) for node in interrupted), "interruption")
        return "True", "Interrupted", _brief(f"{count} on {', '.join(node.node for node in interrupted)}")
    lost = sum(node.lost for node in nodes)
    if lost:
        return "True", "PacketsLost", f"{format_count(lost, 'packet')} lost"
    return "False", "AllWell", ""


def _uploaded(nodes: Sequence[NodeStatus], complete: bool) -> tuple[str, str, str]:
    """True only if each store has confirmed all files and their manifest."""
    missing = [node for node in nodes if not _has_all(node)]
    if complete and not missing:
        places = "; ".join(node.upload.location for node in nodes if node.upload is not None)
        return "True", "Confirmed", _brief(places) if places else "there was nothing to upload"
    failing = [node for node in missing if node.upload is not None and node.upload.message]
    if failing:
        return "False", UPLOAD_FAILED, _brief("; ".join(f"{node.node}: {_failure(node.upload)}" for node in failing))
    absent = [node for node in missing if node.reason == AGENT_MISSING]
    if absent:
        return "False", AGENT_MISSING, _brief(f"files are on {', '.join(node.node for node in absent)}")
    uploads = [node.upload for node in nodes if node.upload is not None]
    done, files = sum(upload.uploaded for upload in uploads), sum(upload.files for upload in uploads)
    return "False", "Uploading", f"{done:,} of {format_count(files, 'finished file')} confirmed"


def _has_all(node: NodeStatus) -> bool:
    if node.upload is None:
        return node.phase in ENDED and node.file_count == 0 and node.reason != AGENT_MISSING
    return node.upload.complete


def _failure(upload: UploadStatus | None) -> str:
    assert upload is not None
    return f"{upload.uploaded:,} of {format_count(upload.files, 'file')} confirmed: {upload.message}"


def _phase(progress: RunState, nodes: Sequence[NodeStatus], active: Sequence[NodeStatus], complete: bool) -> str:
    if complete:
        return "Failed" if nodes and all(node.phase == FAILED for node in nodes) else "Complete"
    if progress.queued is not None and not nodes:
        return QUEUED
    if active:
        return "Capturing"
    return "Starting" if any(node.phase == PENDING for node in nodes) else "Waiting"


def _conditions(
    before: CaptureStatus, given: dict[str, tuple[str, str, str]], generation: int, now: datetime
) -> list[Condition]:
    conditions = []
    for kind, (status, reason, message) in given.items():
        earlier = before.condition(kind)
        changed = earlier is None or earlier.status != status
        at = now if changed or earlier is None else earlier.last_transition_time
        conditions.append(Condition(kind, status, reason, message, at, generation))
    return conditions


def _brief(text: str) -> str:
    return text if len(text) <= MESSAGE_MAX else text[: MESSAGE_MAX - 3] + "..."


def story(before: CaptureStatus, after: CaptureStatus) -> list[CaptureEvent]:
    """Return what happened between two states of a capture."""
    events = []
    for condition in after.conditions:
        earlier = before.condition(condition.type)
        if earlier is not None and (earlier.status, earlier.reason) == (condition.status, condition.reason):
            continue
        if condition.type == ACCEPTED and (condition.status == "False" or condition.reason != "Valid"):
            word = "Rejected" if condition.status == "False" else condition.reason
            events.append(CaptureEvent(word, condition.message, warning=True))
        elif condition.type == COMPLETE and condition.status == "True":
            events.append(CaptureEvent("Complete", condition.message))
        elif condition.type == UPLOADED and condition.status == "True":
            events.append(CaptureEvent("Uploaded", condition.message))
        elif condition.type == UPLOADED and condition.reason == UPLOAD_FAILED:
            events.append(CaptureEvent(UPLOAD_FAILED, condition.message, warning=True))
        elif condition.type == COMPLETE and condition.reason in (QUEUED, NO_SUCH_POD):
            events.append(CaptureEvent(condition.reason, condition.message))
    for incident in new_incidents(before.recorder, after.recorder):
        told = f"{incident.node}: {incident.name}, because of {incident.rule}"
        events.append(CaptureEvent("Incident", f"{told} ({incident.reason})" if incident.reason else told))
    known = {node.node: node for node in before.nodes}
    for node in after.nodes:
        earlier_node = known.get(node.node, NodeStatus())
        if (node.phase, node.reason) != (earlier_node.phase, earlier_node.reason):
            bad = node.phase == FAILED or node.reason == AGENT_MISSING
            if node.phase != PENDING or bad:
                events.append(CaptureEvent(_word(node), f"{node.node}: {node.message}", warning=bad))
        if len(node.interruptions) > len(earlier_node.interruptions):
            gap = node.interruptions[-1]
            text = f"{node.node}: no packets were caught from {gap.begin:%H:%M:%S}: {gap.reason}"
            events.append(CaptureEvent("Interrupted", text, warning=True))
    return events


def _word(node: NodeStatus) -> str:
    return {CAPTURING: "Capturing", WAITING: "Waiting", CAPTURED: "Captured"}.get(
        node.phase, node.reason or node.phase
    )
