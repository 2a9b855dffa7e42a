"""The pods of a capture, loads, and the disks of nodes -> what it would write where, and how long each disk lasts.

Loads are what somebody says of each pod, or what another capture has written on each node. Nothing else is known of
a cluster's traffic; a node without a load is named, and no number is made up for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from capture.cluster.node_disk import NodeState
from capture.cluster.objects import CaptureStatus, NodeStatus
from capture.errors import TargetError
from capture.estimate.costs import shipped
from capture.estimate.from_spec import disk_limits, price_factors
from capture.estimate.load import InterfaceLoad, Load
from capture.estimate.price import Estimate, assumptions, estimate
from capture.estimate.room import Disk, DiskLimits, bytes_needed, seconds_until_full, warnings
from capture.spec import CaptureSpec
from capture.storage import parse_min_free
from capture.units import format_duration, format_size

DAY_SECONDS = 24 * 3600
SILENT_SECONDS = 300.0
"""Age of an agent's last sign of life from which it is said; the clock of a desk may be minutes wrong."""
_COLUMNS = ("NODE", "PODS", "PACKETS/S", "FILES/S", "AT MOST", "DISK FREE", "STAYS FREE", "LASTS")


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """Where loads come from, in words, and those of each node; of a node that is not there, nothing is known."""

    source: str
    of_node: Mapping[str, Sequence[InterfaceLoad]]


def assumed_figures(text: str, load: InterfaceLoad, pods: Mapping[str, Sequence[object]]) -> LoadFigures:
    """Return one load for each pod. `pods` are those of each node."""
    return LoadFigures(f"--assume {text}, for each pod", {node: [load] * len(there) for node, there in pods.items()})


def measured_figures(name: str, status: CaptureStatus, now: datetime) -> LoadFigures:
    """Return what a capture has written on each node, per second. Raises TargetError if it has written nothing."""
    rates = {node.node: _rates(node, now) for node in status.nodes}
    found = {node: [rate] for node, rate in rates.items() if rate is not None}
    if not found:
        raise TargetError(f"{name} has written nothing yet, so it says nothing about the load; give --assume")
    return LoadFigures(f"what {name} has written", found)


def _rates(node: NodeStatus, now: datetime) -> InterfaceLoad | None:
    if node.started_at is None:
        return None
    ended = node.ended_at or now
    gaps = sum(((gap.end or ended) - gap.begin).total_seconds() for gap in node.interruptions)
    seconds = (ended - node.started_at).total_seconds() - gaps
    if seconds <= 0:
        return None
    ways = (node.forward, node.reverse)
    return InterfaceLoad(node.node, *(Load(way.packets / seconds, way.bytes / seconds) for way in ways))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """What a capture would write on one node. `expected` is None if nothing is known of the load."""

    node: str
    pods: int
    expected: Estimate | None
    limits: DiskLimits
    disk: Disk | None
    trouble: str = ""
    """Why the disk is not known, or may be another by now."""

    @property
    def most(self) -> float:
        """Most bytes on the disk at one time; infinite if nothing limits them."""
        return bytes_needed(self.expected, self.limits) if self.expected else math.nan

    @property
    def lasts(self) -> float:
        """Seconds until the disk is as full as it may be."""
        if self.expected is None or self.disk is None:
            return math.nan
        return seconds_until_full(self.expected, self.limits, self.disk)

    def warnings(self) -> list[str]:
        """Return what is wrong, one line each."""
        found = [f"{self.node}: {self.trouble}"] if self.trouble else []
        if self.expected is None:
            return [*found, f"{self.node}: nothing is known of the load there; give --assume"]
        if self.disk is not None and self.disk.free <= self.limits.min_free:
            return [
                *found,
                f"{self.node} has {format_size(self.disk.free)} free, and {format_size(self.limits.min_free)} must "
                "stay free: no room for a capture; make room, or give a lower --min-free",
            ]
        of_load = warnings(self.expected, self.limits, self.disk) if self.expected.packets else []
        return [*found, *(line if line.startswith(self.node) else f"{self.node}: {line}" for line in of_load)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """What a capture would write on all nodes, and into its store. `store_room` is None if nobody says."""

    nodes: Sequence[NodePlan]
    source: str
    assumed: Sequence[str]
    stays: str
    """How long files stay on their nodes after the end."""
    store: str = ""
    store_room: int | None = None

    @property
    def file_bytes(self) -> float:
        """Bytes per second on all nodes of which the load is known."""
        return sum(node.expected.file_bytes for node in self.nodes if node.expected)

    @property
    def most(self) -> float:
        """Most bytes on all disks at one time."""
        return sum(node.most for node in self.nodes if node.expected)

    @property
    def store_lasts(self) -> float:
        """Seconds until the store is full."""
        if self.store_room is None:
            return math.nan
        return self.store_room / self.file_bytes if self.file_bytes else math.inf

    def warnings(self) -> list[str]:
        """Return what is wrong, one line each."""
        found = [line for node in self.nodes for line in node.warnings()]
        if self.store_room is not None and self.store_room < self.most:
            found.append(
                f"{self.store} holds {format_size(self.store_room)}: enough for {_time(self.store_lasts)}, and the "
                f"capture writes {_size(self.most)}; let the store delete what is old, or give a lower limit"
            )
        return found

    def lines(self) -> list[str]:
        """Return lines for a person."""
        packets = sum(node.expected.packets for node in self.nodes if node.expected)
        pods = sum(node.pods for node in self.nodes)
        total = ("all", f"{pods:,}", f"{packets:,.0f}", format_size(self.file_bytes), _size(self.most), "", "", "")
        rows = [_COLUMNS, *map(_row, self.nodes), total]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        lines = [*table, f"load     {self.source}", f"files    stay on their nodes {self.stays}"]
        if self.store:
            daily = format_size(self.file_bytes * DAY_SECONDS)
            room = "--store-room says how long it lasts"
            if self.store_room is not None:
                room = f"{format_size(self.store_room)} last {_time(self.store_lasts)}"
            lines.append(f"store    {self.store}: {format_size(self.file_bytes)}/s, {daily} a day; {room}")
        lines += [f"{'' if number else 'assumed':<8} {text}" for number, text in enumerate(self.assumed)]
        return lines + [f"warning: {line}" for line in self.warnings()]

    def as_json(self) -> dict[str, Any]:
        """Return plain values; null is infinite or not known, `known` tells which."""
        store = {"name": self.store, "room_bytes": self.store_room, "full_after_seconds": _finite(self.store_lasts)}
        return {
            "source": self.source,
            "nodes": [_plain(node) for node in self.nodes],
            "file_bytes_per_second": self.file_bytes,
            "most_bytes": _finite(self.most),
            "store": store if self.store else None,
            "stays": self.stays,
            "assumptions": list(self.assumed),
            "warnings": self.warnings(),
        }


def plan_cluster(
    spec: CaptureSpec,
    pods: Mapping[str, Sequence[object]],
    figures: LoadFigures,
    states: Mapping[str, NodeState] | None,
    now: datetime,
    *,
    stays: str,
    store: str = "",
    store_room: int | None = None,
) -> ClusterPlan:
    """Return the plan for a spec. `pods` are those of each node; `states` is None if they may not be read."""
    nodes = [
        _node_plan(spec, node, len(there), figures.of_node.get(node), states, now) for node, there in pods.items()
    ]
    notes = [
        "other captures of a node, and whatever else writes there, take from the same disk",
        *assumptions(price_factors(spec)),
    ]
    return ClusterPlan(
        nodes=nodes, source=figures.source, assumed=notes, stays=stays, store=store, store_room=store_room
    )


def _node_plan(
    spec: CaptureSpec,
    node: str,
    pods: int,
    loads: Sequence[InterfaceLoad] | None,
    states: Mapping[str, NodeState] | None,
    now: datetime,
) -> NodePlan:
    state, disk, trouble = (states or {}).get(node), None, ""
    limits = disk_limits(spec, None, int(now.timestamp() * 1e9))
    if states is not None and state is None:
        trouble = "no agent of bicap has run on this node, so nothing will be captured there"
    elif state is not None:
        age = (now - state.renewed).total_seconds() if state.renewed else math.inf
        if age > SILENT_SECONDS:
            trouble = f"its agent was last heard {_time(age)} ago"
        if state.disk is not None:
            disk = Disk(node, state.disk.size, state.disk.free)
            stays = spec.storage.min_free or parse_min_free(state.disk.min_free, "min-free")
            limits = replace(limits, min_free=stays.of(disk.size))
        else:
            trouble = trouble or "its agent does not say how full the disk is; it may be an older one"
    expected = None if loads is None else estimate(loads, price_factors(spec), spec.direction, shipped())
    return NodePlan(node=node, pods=pods, expected=expected, limits=limits, disk=disk, trouble=trouble)


def _row(node: NodePlan) -> tuple[str, ...]:
    load, disk = node.expected, node.disk
    return (
        node.node,
        f"{node.pods:,}",
        f"{load.packets:,.0f}" if load else "?",
        format_size(load.file_bytes) if load else "?",
        _size(node.most),
        format_size(disk.free) if disk else "?",
        format_size(node.limits.min_free) if disk else "?",
        _time(node.lasts),
    )


def _plain(node: NodePlan) -> dict[str, Any]:
    load, disk = node.expected, node.disk
    return {
        "node": node.node,
        "pods": node.pods,
        "known": load is not None,
        "packets_per_second": load.packets if load else None,
        "file_bytes_per_second": load.file_bytes if load else None,
        "most_bytes": _finite(node.most),
        "disk": {"size_bytes": disk.size, "free_bytes": disk.free, "stays_free_bytes": node.limits.min_free}
        if disk
        else None,
        "full_after_seconds": _finite(node.lasts),
    }


def _size(count: float) -> str:
    if math.isnan(count):
        return "?"
    return "no limit" if count == math.inf else format_size(count)


def _time(seconds: float) -> str:
    if math.isnan(seconds):
        return "?"
    return "for ever" if seconds == math.inf else format_duration(seconds * 1e9)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
