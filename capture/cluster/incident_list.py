"""Incidents of nodes -> the list of a capture's status: the latest of all, each with its node."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from capture.cluster.objects import NodeStatus
from capture.cluster.recorder_objects import INCIDENTS_SHOWN, IncidentEntry, RecorderSummary

_LONG_AGO = datetime.fromtimestamp(0, UTC)


def summary(nodes: Sequence[NodeStatus], forwarded: int) -> RecorderSummary | None:
    """Return what the status of a capture says of its recorders; None if it has none."""
    recorders = [(node.node, node.recorder) for node in nodes if node.recorder is not None]
    if not recorders:
        return None
    found = [msgspec.structs.replace(one, node=node) for node, recorder in recorders for one in recorder.incidents]
    return RecorderSummary(
        incidents=sorted(found, key=lambda one: (one.at or _LONG_AGO, one.node, one.name))[-INCIDENTS_SHOWN:],
        incident_count=sum(recorder.incident_count for _, recorder in recorders),
        fired=sum(recorder.fired for _, recorder in recorders),
        forwarded=forwarded,
    )


def without_lists(node: NodeStatus) -> NodeStatus:
    """Return the status of a node without what the status of the capture lists for all nodes together."""
    if node.recorder is None:
        return node
    return msgspec.structs.replace(node, recorder=msgspec.structs.replace(node.recorder, incidents=[], firings=[]))


def new_incidents(before: RecorderSummary | None, after: RecorderSummary | None) -> list[IncidentEntry]:
    """Return the incidents that have become complete."""
    if after is None:
        return []
    known = {(one.node, one.name) for one in before.incidents if one.complete} if before is not None else set()
    return [one for one in after.incidents if one.complete and (one.node, one.name) not in known]
