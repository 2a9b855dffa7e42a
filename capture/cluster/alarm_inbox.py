"""Alerts -> the recorders that their labels select, and their turn in the controller's rounds.

A thread of a door puts alarms in and waits; the controller takes those of a capture when it decides about it. An
alarm that nobody takes, because this process does not lead any more, is an error for whoever sent it.
"""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from capture.cluster.forwarding import Alarm

CAPTURE_LABELS = ("bicap.io/capture", "bicap_io_capture")
"""Labels that name a capture: NAMESPACE/NAME, NAME with the label `namespace`, /NAME for one of the whole cluster."""


@dataclass(frozen=True, slots=True)
class KnownRecorder:
    """A recorder of the cluster, and the pods (namespace, name) at which it records."""

    uid: str
    namespace: str
    name: str
    pods: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def selected(labels: Mapping[str, str], recorders: Collection[KnownRecorder]) -> list[KnownRecorder]:
    """Return the recorders that the labels of an alert select: by the capture's name, or by namespace and pod."""
    name = next((labels[label] for label in CAPTURE_LABELS if labels.get(label)), None)
    namespace, pod = labels.get("namespace", ""), labels.get("pod", "")
    if name is not None:
        place = name if "/" in name else f"{namespace}/{name}"
        return [one for one in recorders if str(one) == place]
    return [one for one in recorders if (namespace, pod) in one.pods]


class AlarmInbox:
    """Alarms that wait for their turn, by the uid of the capture."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, list[tuple[Alarm, Future[bool]]]] = defaultdict(list)
        self._lock = threading.Lock()

    def put(self, uid: str, alarm: Alarm) -> Future[bool]:
        """Add an alarm. The result is true if it is on its way to nodes, false if nobody could be told now."""
        answer: Future[bool] = Future()
        with self._lock:
            self._waiting[uid].append((alarm, answer))
        return answer

    def drop(self, uid: str) -> None:
        """Forget the alarms of a capture that is gone."""
        with self._lock:
            self._waiting.pop(uid, None)

    @contextlib.contextmanager
    def taken(self, uid: str) -> Iterator[tuple[Sequence[Alarm], set[str]]]:
        """Yield the alarms of a capture, and a set for the ids of those that are on their way; then they are over."""
        with self._lock:
            waiting = self._waiting.pop(uid, [])
        taken = [(alarm, answer) for alarm, answer in waiting if answer.set_running_or_notify_cancel()]
        sent: set[str] = set()
        try:
            yield [alarm for alarm, _ in taken], sent
        except BaseException as error:
            for _, answer in taken:
                answer.set_exception(error)
            raise
        for alarm, answer in taken:
            answer.set_result(alarm.id in sent)
