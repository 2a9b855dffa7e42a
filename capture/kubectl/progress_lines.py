"""The status of a capture -> lines for people: what has happened since the last one, how it stands, all of it."""

from collections.abc import Iterator

from capture.cluster.capture_status import ACCEPTED, COMPLETE, DEGRADED, story
from capture.cluster.objects import CaptureObject, CaptureStatus, NodeStatus
from capture.cluster.recorder_objects import RecorderSummary
from capture.units import format_count, format_size

REJECTED = "Rejected"


def news(before: CaptureStatus, after: CaptureStatus) -> list[str]:
    """Return what has happened between two states."""
    return [f"warning: {one.message}" if one.warning else one.message or one.reason for one in story(before, after)]


def standing(status: CaptureStatus) -> str:
    """Return how the capture stands, in one line."""
    lost = f"{status.lost:,} lost"
    nodes = f"{status.node_summary or '0/0'} nodes"
    caught = format_count(status.packets, "packet")
    if status.recorder is not None:
        caught = format_count(status.recorder.incident_count, "incident")
    return f"{status.phase or 'Accepted'}: {nodes}, {caught}, {lost}"


def is_over(status: CaptureStatus) -> bool:
    """True if nothing more will be caught."""
    complete = status.condition(COMPLETE)
    return status.phase == REJECTED or (complete is not None and complete.status == "True")


def rejection(status: CaptureStatus) -> str:
    """Return why the capture must not run; "" if it may."""
    accepted = status.condition(ACCEPTED)
    return accepted.message if accepted is not None and accepted.status == "False" else ""


def description(capture: CaptureObject) -> Iterator[str]:
    """Yield lines that say all that is known of a capture."""
    status = capture.status
    yield f"{capture.metadata.namespace}/{capture.metadata.name}".lstrip("/")
    yield f"  {standing(status)}"
    for kind in (ACCEPTED, COMPLETE, DEGRADED):
        condition = status.condition(kind)
        if condition is not None and condition.message:
            yield f"  {kind} {condition.status}, {condition.reason}: {condition.message}"
    for node in status.nodes:
        yield from _node(node)
    if status.recorder is not None:
        yield from _recorder(status.recorder)


def _recorder(recorder: RecorderSummary) -> Iterator[str]:
    yield f"  {recorder.fired:,} fired, {recorder.forwarded:,} forwarded to other nodes"
    for one in recorder.incidents:
        at = f"{one.at:%Y-%m-%d %H:%M:%S}" if one.at else "?"
        why = " ".join(text for text in (one.rule, one.reason and f"({one.reason})", one.session) if text)
        unfinished = "" if one.complete else ", unfinished"
        yield f"  {at}  {one.node}  {one.name}  {format_size(one.bytes)}{unfinished}: {why}"
    if recorder.incident_count > len(recorder.incidents):
        yield f"  and {format_count(recorder.incident_count - len(recorder.incidents), 'earlier incident')}"


def _kept(node: NodeStatus) -> str:
    if node.recorder is not None:
        return f"{node.recorder.remembered:,} remembered"
    return f"{node.packets:,} written"


def _node(node: NodeStatus) -> Iterator[str]:
    yield f"  {node.node}: {node.phase}{f', {node.reason}' if node.reason else ''}"
    if node.message:
        yield f"    {node.message}"
    if node.seen:
        yield (
            f"    {node.seen:,} seen = {node.unmatched:,} unmatched + {node.matched:,} matched; "
            f"{_kept(node)}, {node.sampled_out:,} sampled out, {node.over_limit:,} over the limit, "
            f"{node.lost:,} lost"
        )
    if node.unaccounted:
        yield f"    {format_count(node.unaccounted, 'packet')} of a capture that was killed"
    for gap in node.interruptions:
        until = f"{gap.end:%H:%M:%S}" if gap.end else "now"
        yield f"    no packets were caught from {gap.begin:%H:%M:%S} to {until}: {gap.reason}"
    for file in node.files:
        yield f"    {file.name}  {format_size(file.bytes)}{'' if file.sha256 else ', being written'}"
    if node.file_count > len(node.files):
        yield f"    and {format_count(node.file_count - len(node.files), 'earlier file')}"
    if node.clock:
        yield f"    clock {node.clock}"
