"""A pod with the properties that its container runtime reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capture.filters.podname import PodName
from capture.filters.rule import Address


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod."""

    name: str
    id: str
    running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One sandbox: a pod that is deleted and made anew under its name is another pod, with another `uid`.

    `labels` are those that the runtime was given when the pod was made. `netns` is a path; None if the pod has no
    network namespace of its own (`host_network`), or is not ready.
    """

    name: PodName
    uid: str
    sandbox: str
    ready: bool
    created_ns: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    host_network: bool = False
    netns: str | None = None
    pid: int | None = None
    containers: tuple[Container, ...] = ()
    socket: str = ""
    """The socket of the runtime, or the file, that reported the pod."""
    elsewhere: bool = False
    """True if the pod runs on another node: its addresses are known, and nothing else."""

    @property
    def state(self) -> str:
        """The state, as CRI names it."""
        return "Ready" if self.ready else "NotReady"

    def as_json(self) -> dict[str, Any]:
        """Return plain values, with Kubernetes' names."""
        return {
            "namespace": self.name.namespace,
            "name": self.name.name,
            "uid": self.uid,
            "state": self.state,
            "labels": dict(self.labels),
            "ips": [str(address) for address in self.addresses],
            "hostNetwork": self.host_network,
            "sandboxID": self.sandbox,
            "netns": self.netns,
            "pid": self.pid,
            "createdNs": self.created_ns,
            "elsewhere": self.elsewhere,
            "containers": [{"name": c.name, "id": c.id, "running": c.running} for c in self.containers],
        }
