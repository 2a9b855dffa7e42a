"""What fired -> a value that goes from any door to the recorder, and its answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALERTMANAGER, OTHER_NODE = "alertmanager", "other-node"
"""Doors that causes come from: an alert, and the recorder of another node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A trigger that fired. Times are CLOCK_MONOTONIC, ns; None: not because of a packet."""

    rule: str
    """The rule's text, or the door: signal, socket, http, alertmanager, other-node."""
    at_ns: int
    reason: str = ""
    """A text of the one who fired it."""
    value: float | str | None = None
    """Value of the rule's measure when it fired."""
    session: str | None = None
    """Ends of the conversation, like tcp 10.0.0.1:4000 > 10.0.0.2:80."""
    packet_ns: int | None = None
    """Time of the packet that fired it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    """Of a ring of files: the one that has this packet."""
    number: int = 0
    """The packet's number in that file, from 1 on."""

    def as_json(self, offset_ns: int) -> dict[str, Any]:
        """Return plain values; times are wall-clock times."""
        return {
            "rule": self.rule,
            "fired_ns": self.at_ns + offset_ns,
            "reason": self.reason,
            "value": self.value,
            "session": self.session,
            "packet_ns": None if self.packet_ns is None else self.packet_ns + offset_ns,
            "labels": dict(self.labels),
        }


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a cause: it began an incident, prolonged one, or was refused for a reason."""

    answer: str
    incident: str | None = None
    reason: str = ""


BEGAN, PROLONGED, REFUSED = "began", "prolonged", "refused"
"""Values of Reply.answer."""
