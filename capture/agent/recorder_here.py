"""What a recorder on this node says, and what fired elsewhere -> firings for others, causes for it, its status.

child ─ fired ─▶ status.firings ─▶ controller ─▶ spec.fired of others ─▶ their children
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from capture.agent.folder import CaptureFolder
from capture.agent.incident_files import IncidentFiles
from capture.agent.state import CaptureRecord
from capture.cluster.recorder_objects import (
    FIRINGS_SHOWN,
    INCIDENTS_SHOWN,
    FiredOrder,
    Firing,
    NodeRecorder,
    cut,
)
from capture.live.cause import ALERTMANAGER, OTHER_NODE
from capture.nursery.exchange import RingOrder
from capture.nursery.nursery import CaptureChild
from capture.wire.conversation_ends import parse_ends

LISTED_SECONDS = 10.0
"""Time for which a firing is in the status: the controller forwards what it finds there."""
LOOK_SECONDS = 2.0
"""Time between two looks at the folder, if the recorder has said nothing."""
BELIEVED = timedelta(seconds=10)
"""Largest difference to the clock of another node with which its time is believed: orders take less than that."""
RUNG_KEPT = 4 * FIRINGS_SHOWN
_log = logging.getLogger("bicap.agent")


class RecorderHere:
    """The recorder of one capture on this node, over all of its parts."""

    def __init__(
        self, state: CaptureRecord, folder: CaptureFolder, node: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._state, self._folder, self._node, self._clock = state, folder, node, clock
        self.files = IncidentFiles(folder.path)
        self._firings: deque[tuple[Firing, float]] = deque(maxlen=FIRINGS_SHOWN)
        """With the time at which each leaves the status."""
        self._heard = 0
        """Number of the last firing of the running part."""
        self._next_look = 0.0
        self._incidents = 0
        self._memory = ""

    def begins(self) -> None:
        """Note that another part begins, whose firings are counted anew."""
        self._heard = self._incidents = 0

    def hear(self, child: CaptureChild | None) -> None:
        """Take in what the child has said, and look at its files."""
        if child is not None and child.fired:
            fired, child.fired = child.fired, []
            for message in fired:
                self._state.fired += max(1, message.number - self._heard)
                self._heard = message.number
                ends = parse_ends(message.session)
                firing = Firing(
                    f"{self._node}-{self._state.fired}",
                    datetime.fromtimestamp(message.at_ns / 1e9, UTC),
                    clock=cut(message.clock),
                    rule=cut(message.rule),
                    session=cut(message.session),
                    community_id="" if ends is None else ends.community_id,
                )
                self._firings.append((firing, self._clock() + LISTED_SECONDS))
            self._folder.save(self._state)
            self._next_look = 0.0
        if child is not None and child.incidents != self._incidents:
            self._incidents, self._next_look = child.incidents, 0.0
        if child is not None and child.progress is not None:
            self._memory = child.progress.memory
        if self._clock() >= self._next_look:
            self.look()

    def look(self) -> None:
        """List the incidents, and forget digests of those that were removed."""
        self._next_look = self._clock() + LOOK_SECONDS
        self.files.look()
        names = {entry.name for entry in self.files.entries}
        for name in self._state.digests.keys() - names:
            del self._state.digests[name]

    def tell(self, child: CaptureChild | None, orders: Sequence[FiredOrder]) -> None:
        """Fire the recorder by orders that it has not had. Raises SinkError.

        Those that come before it records are of no use to it, and are not kept for later.
        """
        new = [order for order in orders if order.id not in self._state.rung]
        if not new:
            return
        self._state.rung = [*self._state.rung, *(order.id for order in new)][-RUNG_KEPT:]
        self._folder.save(self._state)
        for order in new:
            records = child is not None and child.interfaces is not None
            if not (records and child is not None and child.ring(ring_of(order, datetime.now(UTC)))):
                _log.warning("a firing found no recorder", extra={"capture": self._state.capture, "firing": order.id})

    def _listed(self) -> list[Firing]:
        return [firing for firing, until in self._firings if until > self._clock()]

    def status(self, remembered: int) -> NodeRecorder:
        """Return what the status says."""
        return NodeRecorder(
            remembered=remembered,
            memory=self._memory,
            incidents=self.files.entries[-INCIDENTS_SHOWN:],
            incident_count=len(self.files.entries),
            firings=self._listed(),
            fired=self._state.fired,
        )


def ring_of(order: FiredOrder, now: datetime) -> RingOrder:
    """Return what the child is told. A time that cannot be is that of a wrong clock: then it fires now."""
    at = order.at if now - BELIEVED < order.at <= now else now
    alert = order.source == ALERTMANAGER
    about = (order.rule, order.reason) if alert else (order.source, order.rule)
    labels = {"firing": order.id, "source": order.source, "communityId": order.community_id}
    return RingOrder(
        rule=ALERTMANAGER if alert else OTHER_NODE,
        at_ns=round(at.timestamp() * 1e6) * 1000,
        reason=": ".join(text for text in about if text),
        session=order.session,
        labels={name: text for name, text in labels.items() if text},
    )
