"""What recorders of a cluster and the controller say to each other: triggers that fired, orders to fire, incidents.

All of it has a bounded size: texts are cut, and lists have the latest only.
"""

from datetime import datetime
from typing import Annotated

from capture.cluster.kube import KubeStruct
from capture.request.kubernetes import says

FIRINGS_SHOWN = 8
"""Firings that a node lists, the latest, and orders to fire that it keeps."""
INCIDENTS_SHOWN = 100
"""Incidents that a status lists, the latest."""
TEXT_MOST = 256
"""Longest text of a rule, a reason or a value."""


class Firing(KubeStruct):
    """A trigger that fired on a node, for some seconds after it did."""

    id: Annotated[str, says("Name of the firing: the node, and its number there.")]
    at: Annotated[datetime, says("When it fired, by the node's clock.")]
    clock: Annotated[str, says("State of that clock, with its error.")] = ""
    rule: Annotated[str, says("The rule.")] = ""
    session: Annotated[str, says("Ends of the conversation; empty for a rule without one.")] = ""
    community_id: Annotated[str, says("Community ID of the conversation.")] = ""


class FiredOrder(KubeStruct):
    """A trigger that fired elsewhere: the recorder of this node writes an incident, too."""

    id: Annotated[str, says("Name of the firing; the same one is carried out once.")]
    number: Annotated[int, says("Number of the firing among those that were forwarded for the capture.")]
    at: Annotated[datetime, says("When it fired, by the clock of its source.")]
    sent_at: Annotated[datetime, says("When the controller forwarded it.")]
    source: Annotated[str, says("The node, or alertmanager.")] = ""
    rule: Annotated[str, says("The rule, or the name of the alert.")] = ""
    reason: Annotated[str, says("What an alert says.")] = ""
    session: Annotated[str, says("Ends of the conversation.")] = ""
    community_id: Annotated[str, says("Community ID of the conversation.")] = ""


class IncidentEntry(KubeStruct):
    """An incident of a recorder: a file with the packets around a trigger."""

    name: Annotated[str, says("Name of the file.")]
    node: Annotated[str, says("The node that has it.")] = ""
    rule: Annotated[str, says("What fired: a rule; other-node; alertmanager.")] = ""
    reason: Annotated[str, says("For other-node, the node and its rule; for an alert, what it says.")] = ""
    at: Annotated[datetime | None, says("When it fired.")] = None
    value: Annotated[str, says("Value that the rule found.")] = ""
    session: Annotated[str, says("Ends of the conversation that the rule was about.")] = ""
    packets: Annotated[int, says("Packets in the file.")] = 0
    bytes: Annotated[int, says("Size of the file.")] = 0
    complete: Annotated[bool, says("False while it is written, and if its recorder was killed meanwhile.")] = False


class NodeRecorder(KubeStruct):
    """A recorder on one node."""

    remembered: Annotated[int, says("Packets that went into its memory.")] = 0
    memory: Annotated[str, says("How far back its memory reaches at the present rate.")] = ""
    incidents: Annotated[list[IncidentEntry], says("In a NodeCapture: the latest hundred incidents.")] = []
    incident_count: Annotated[int, says("Number of all incidents that the node has.")] = 0
    firings: Annotated[list[Firing], says("In a NodeCapture: triggers that fired a moment ago.")] = []
    fired: Annotated[int, says("Triggers that fired here, and began or prolonged an incident.")] = 0


class RecorderSummary(KubeStruct):
    """The recorders of a capture on all nodes."""

    incidents: Annotated[list[IncidentEntry], says("The latest hundred incidents of all nodes.")] = []
    incident_count: Annotated[int, says("Number of all incidents that nodes have.")] = 0
    fired: Annotated[int, says("Triggers that fired on nodes, all of them.")] = 0
    forwarded: Annotated[
        int, says("Firings and alerts that were forwarded to other nodes, at most one in a second.")
    ] = 0


class AlertAnswer(KubeStruct):
    """What became of an alert."""

    alert: Annotated[str, says("Name of the alert.")]
    fired: Annotated[list[str], says("Recorders that are told, NAMESPACE/NAME.")] = []
    passed_over: Annotated[list[str], says("Recorders that are not: another firing came within a second.")] = []


def cut(text: str) -> str:
    """Return a text that has room in a status, in one line."""
    text = " ".join(text.split())
    return text if len(text) <= TEXT_MOST else text[: TEXT_MOST - 3] + "..."
