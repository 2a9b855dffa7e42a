"""Firings of nodes and alerts, and the parts of a capture -> orders to fire for the nodes that hold the conversation.

    status.firings of one ─▶ spec.fired of those with a pod at either end of the conversation
    an alert              ─▶ spec.fired of all

Everything follows from the objects, so a controller that takes over repeats nothing and forgets nothing: a firing
has the same id and, once forwarded, the same number in every part that it went to. The highest number is the count
of what was forwarded; the nodes count what fired.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

from capture.cluster.objects import ENDED, NodeCapture
from capture.cluster.recorder_objects import FIRINGS_SHOWN, FiredOrder, Firing
from capture.live.cause import ALERTMANAGER
from capture.wire.conversation_ends import parse_ends

BETWEEN = timedelta(seconds=1)
"""Least time between two firings that are forwarded for one capture."""
TOO_OLD = timedelta(seconds=60)
"""Age from which on a firing is not forwarded: no memory has its packets, or a clock is wrong."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert that selects a capture."""

    id: str
    name: str
    reason: str = ""


@dataclass(slots=True)
class Forwarding:
    """What is to be forwarded now."""

    orders: dict[str, list[FiredOrder]] = field(default_factory=dict)
    """By node: the whole list of orders that it shall have."""
    sent: set[str] = field(default_factory=set)
    """Firings and alarms that are on their way, now or from before."""
    count: int = 0
    """Firings that were forwarded for the capture so far, with these."""


def forwarding(parts: Sequence[NodeCapture], alarms: Sequence[Alarm], now: datetime) -> Forwarding:
    """Return the orders that recorders need in addition to those that they have."""
    known = {order.id: order for part in parts for order in part.spec.fired}
    newest = max((order.sent_at for order in known.values()), default=None)
    found = Forwarding(count=max((order.number for order in known.values()), default=0))
    running = [part for part in parts if _runs(part)]
    for asked, targets in (*_fired(parts, running, now), *((_alarmed(alarm, now), running) for alarm in alarms)):
        order = known.get(asked.id)
        missing = [part for part in targets if all(one.id != asked.id for one in part.spec.fired)]
        if order is None:
            if not missing or (newest is not None and now - newest < BETWEEN):
                continue
            found.count, newest = found.count + 1, now
            order = known[asked.id] = asked
            order.number, order.sent_at = found.count, now
        found.sent.add(order.id)
        for part in missing:
            orders = found.orders.setdefault(part.spec.node, list(part.spec.fired))
            orders.append(order)
            orders.sort(key=lambda one: one.number)
            del orders[:-FIRINGS_SHOWN]
    return found


def _runs(part: NodeCapture) -> bool:
    return part.metadata.deletion_timestamp is None and part.status.phase not in ENDED and not part.spec.stop


def _fired(
    parts: Sequence[NodeCapture], running: Sequence[NodeCapture], now: datetime
) -> Iterator[tuple[FiredOrder, list[NodeCapture]]]:
    """Yield what has fired on nodes, the oldest first, and the other nodes that it is for."""
    fired = [(firing, part) for part in parts for firing in _firings(part) if now - firing.at < TOO_OLD]
    for firing, source in sorted(fired, key=lambda one: (one[0].at, one[0].id)):
        others = [part for part in running if part.spec.node != source.spec.node and not _knows(part, firing)]
        yield (
            FiredOrder(
                id=firing.id,
                number=0,
                at=firing.at,
                sent_at=now,
                source=source.spec.node,
                rule=firing.rule,
                session=firing.session,
                community_id=firing.community_id,
            ),
            holders(firing.session, others),
        )


def _firings(part: NodeCapture) -> Sequence[Firing]:
    return part.status.recorder.firings if part.status.recorder is not None else ()


def _knows(part: NodeCapture, firing: Firing) -> bool:
    """True if a node has fired for the conversation itself."""
    return bool(firing.community_id) and any(own.community_id == firing.community_id for own in _firings(part))


def _alarmed(alarm: Alarm, now: datetime) -> FiredOrder:
    return FiredOrder(
        id=alarm.id, number=0, at=now, sent_at=now, source=ALERTMANAGER, rule=alarm.name, reason=alarm.reason
    )


def holders(session: str, parts: Sequence[NodeCapture]) -> list[NodeCapture]:
    """Return the parts that hold a conversation: those of pods at either end, and of interfaces of nodes.

    A rule without a conversation is for all of them.
    """
    ends = parse_ends(session)
    if ends is None:
        return [*parts]
    addresses = (ends.client[0], ends.server[0])
    return [part for part in parts if _holds(part, addresses)]


def _holds(part: NodeCapture, ends: Sequence[object]) -> bool:
    if part.spec.document.get("target", {}).get("interfaces"):
        return True
    here = (pod for pod in part.spec.pods if pod.node == part.spec.node)
    return any(ip_address(ip) in ends for pod in here for ip in pod.ips)
