"""The user's choice of pods -> a test for each pod. Every wrong choice is a SpecError."""

import re
from dataclasses import dataclass
from enum import Enum

from capture.errors import SpecError
from capture.filters.podname import PodName
from capture.selection.labels import LabelSelector
from capture.selection.pod import Pod

CONTAINER_ID_MIN = 8
"""Fewest characters of a container ID that can stand for it."""
_CONTAINER = re.compile(r"(?:[a-z0-9-]+://)?([a-z0-9](?:[-a-z0-9]{0,252}[a-z0-9])?)")
"""A name (RFC 1123), or an ID as the runtime or a pod's status writes it (containerd://4f1c...)."""


class PodEnd(Enum):
    """The pod at whose interface a conversation between two pods is captured."""

    SOURCE = "source"
    DESTINATION = "destination"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The pods on whose interfaces to capture: named ones, or those of namespaces and labels, or all.

    `processes` are pids in whose network namespaces to capture; `own` selects the namespace in which bicap runs;
    `point` selects the pods that rules name as source or destination. With `wait`, a capture waits for the first pod.
    """

    pods: tuple[PodName, ...] = ()
    namespaces: tuple[str, ...] = ()
    labels: LabelSelector | None = None
    containers: tuple[str, ...] = ()
    processes: tuple[int, ...] = ()
    everything: bool = False
    own: bool = False
    point: PodEnd | None = None
    wait: bool = False
    sockets: tuple[str, ...] = ()
    listed: str | None = None
    """A file with the pods, instead of the container runtime."""

    def __post_init__(self) -> None:
        named = {"pod": self.pods, "container": self.containers, "pid": self.processes}
        given = [name for name, values in named.items() if values]
        general = ["selector"] if self.labels else []
        general += ["all-pods"] if self.everything else []
        if given and general:
            raise SpecError(f"{given[0]} and {general[0]} do not combine; name pods, or select them by their labels")
        if self.everything and self.namespaces:
            raise SpecError("all-pods means those of all namespaces; leave it out, or namespace")
        if self.namespaces and (self.pods or self.processes) and not self.containers:
            raise SpecError(
                f"namespace {self.namespaces[0]} does not combine with {given[0]}, which is in one already; "
                "leave it out"
            )
        if self.own and (given or general or self.namespaces or self.point or self.wait):
            raise SpecError("self is the namespace that bicap runs in; it does not combine with a choice of pods")
        wrong = next((pid for pid in self.processes if pid < 1), None)
        if wrong is not None:
            raise SpecError(f"pid {wrong} does not exist")

    @property
    def chooses(self) -> bool:
        """True if it selects places by itself; `point` alone only chooses between ends that rules name."""
        return self.is_general or bool(self.pods or self.containers or self.processes or self.own)

    @property
    def asks_runtime(self) -> bool:
        """True if the container runtime must be asked which pods are selected."""
        return bool(self.pods or self.containers or self.point or self.is_general)

    @property
    def is_general(self) -> bool:
        """True if any pod of the node may be selected."""
        return bool(self.everything or self.labels or self.namespaces) and not (self.pods or self.containers)

    def selects(self, pod: Pod) -> bool:
        """True if a pod is selected; its state, `point` and `processes` are not considered."""
        if self.is_general:
            in_namespace = not self.namespaces or pod.name.namespace in self.namespaces
            return in_namespace and (self.labels is None or self.labels.holds(pod.labels))
        return pod.name in self.pods or any(self._names(word, pod) for word in self.containers)

    def _names(self, word: str, pod: Pod) -> bool:
        if self.namespaces and pod.name.namespace not in self.namespaces:
            return False
        by_id = len(word) >= CONTAINER_ID_MIN
        return any(c.name == word or (by_id and c.id.startswith(word)) for c in pod.containers)

    def __str__(self) -> str:
        if self.own:
            return "the namespace of bicap itself"
        parts = [f"pod {pod}" for pod in self.pods] + [f"container {word}" for word in self.containers]
        parts += [f"process {pid}" for pid in self.processes]
        if self.is_general:
            general = ["every pod" if self.everything else "pods"]
            general += [f"labelled {self.labels}"] if self.labels else []
            general += [f"in namespace {' or '.join(self.namespaces)}"] if self.namespaces else []
            parts.append(" ".join(general))
        if self.point:
            ends = "source and destination" if self.point is PodEnd.BOTH else self.point.value
            parts.append(f"the {ends} of the rules")
        return ", ".join(parts)


def parse_container(text: str, field: str) -> str:
    """Return a container's name or ID without the runtime's name before it. Raises SpecError."""
    match = _CONTAINER.fullmatch(text)
    if match is None:
        raise SpecError(f"{field} {text!r} is not a container name or ID; `crictl ps` lists them")
    return match[1]
