"""The disk of a node's captures <-> an annotation of its agent's Lease, which the agent renews anyway.

So whoever plans a capture knows the disks of all nodes by one list, and no node is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from capture.cluster.kube import KubeStruct, LeaseSpec
from capture.errors import SpecError
from capture.storage import parse_min_free

ANNOTATION = "bicap.io/captures-disk"


class NodeDisk(KubeStruct):
    """Size and free bytes of the file system of captures, and what stays free if a capture does not say."""

    size: int
    free: int
    min_free: str


@dataclass(frozen=True, slots=True)
class NodeState:
    """An agent's Lease: when it was renewed, and the disk of its node; None if it does not say."""

    renewed: datetime | None
    disk: NodeDisk | None


class _Annotated(KubeStruct):
    name: str = ""
    annotations: dict[str, str] = {}


class _AnnotatedLease(KubeStruct):
    metadata: _Annotated
    spec: LeaseSpec = msgspec.field(default_factory=LeaseSpec)


def disk_annotation(disk: NodeDisk) -> Mapping[str, str]:
    """Return the annotation that says it."""
    return {ANNOTATION: msgspec.json.encode(disk).decode()}


def node_states(leases: Sequence[Any]) -> dict[str, NodeState]:
    """Return the states of nodes by their names, from the leases of their agents."""
    found = {}
    for item in leases:
        lease = msgspec.convert(item, _AnnotatedLease)
        disk = _disk(lease.metadata.annotations.get(ANNOTATION, ""))
        found[lease.metadata.name] = NodeState(lease.spec.renew_time, disk)
    return found


def _disk(text: str) -> NodeDisk | None:
    try:
        disk = msgspec.json.decode(text, type=NodeDisk)
        parse_min_free(disk.min_free, ANNOTATION)
    except (msgspec.DecodeError, SpecError):
        return None
    return disk
