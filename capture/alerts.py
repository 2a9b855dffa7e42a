"""The body of Alertmanager's webhook (version 4) -> its firing alerts. Resolved ones are none."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BODY_MAX, ALERTS_MAX = 1 << 20, 100
"""Most bytes of a body, and most alerts of one that are read."""
_TEXT_MAX = 500


class BadRequestError(Exception):
    """The body of a request is not understood."""


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """An alert that fires. `id` is the same each time that it is sent until it is resolved."""

    id: str
    reason: str
    labels: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of the rule of Prometheus."""
        return self.labels.get("alertname", "")


def json_object(body: bytes) -> Mapping[str, Any]:
    """Return the object that a body has; an empty body is an empty one. Raises BadRequestError."""
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
    if not isinstance(found, dict):
        raise BadRequestError("the body is not a JSON object")
    return found


def firing_alerts(found: Mapping[str, Any]) -> Iterator[FiringAlert]:
    """Yield the alerts of a body that fire, at most ALERTS_MAX. Raises BadRequestError."""
    alerts = found.get("alerts")
    if not isinstance(alerts, list):
        raise BadRequestError("alerts is not a list")
    for alert in alerts[:ALERTS_MAX]:
        if not isinstance(alert, dict):
            raise BadRequestError("an alert is not an object")
        if alert.get("status", found.get("status")) != "firing":
            continue
        labels, annotations = (_texts(alert.get(name)) for name in ("labels", "annotations"))
        reason = annotations.get("summary") or annotations.get("description") or labels.get("alertname", "")
        yield FiringAlert(_id(alert, labels), reason, labels)


def one_line(value: Any) -> str:
    """Return a value as a text of one line, cut where it is long."""
    return " ".join(str(value).split())[:_TEXT_MAX]


def _texts(value: Any) -> Mapping[str, str]:
    return {one_line(name): one_line(text) for name, text in value.items()} if isinstance(value, dict) else {}


def _id(alert: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Return a name of an alert from its fingerprint, or its labels, and the time since which it fires."""
    who = str(alert.get("fingerprint") or sorted(labels.items()))
    return f"alert-{hashlib.sha256(json.dumps([who, str(alert.get('startsAt'))]).encode()).hexdigest()[:16]}"
