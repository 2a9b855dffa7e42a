"""Informers -> what a controller has to know at once: captures, their parts, pods by namespace, living agents.

Informers call from their threads; the controller reads from its own. Each index is a dict of dicts that only its
informer changes, besides parts that the controller has just made, which the informer will bring soon.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from capture.cluster.api import CAPTURE_STORES, LEASES, NODE_CAPTURES, PODS, Api
from capture.cluster.informer import Informer, key_of
from capture.cluster.kinds import CaptureKind
from capture.cluster.kube import LEASE_NAMESPACE, SYSTEM_NAMESPACE, KubePod, Lease
from capture.cluster.lease import Pulse
from capture.cluster.objects import CAPTURE_LABEL, ENDED, CaptureStoreObject, NodeCapture
from capture.cluster.quota import RunningCount


@dataclass(frozen=True, slots=True)
class KnownCapture:
    """A capture as it is known now."""

    kind: CaptureKind
    item: Any

    @property
    def uid(self) -> str:
        return str(self.item.metadata.uid)


class ClusterView:
    """What is known of the cluster, and which captures have to be looked at again."""

    def __init__(self, api: Api, kinds: Sequence[CaptureKind], namespace: str = SYSTEM_NAMESPACE) -> None:
        self.captures: dict[str, KnownCapture] = {}
        """By uid."""
        self.parts: dict[str, dict[str, NodeCapture]] = {}
        """NodeCaptures by the uid of their capture and by their name."""
        self._pods: dict[str, dict[str, KubePod]] = {}
        self._pod_changes: Counter[str] = Counter()
        """By namespace; "" counts all."""
        self._pulse = Pulse()
        self._alive: frozenset[str] = frozenset()
        self._changed: set[str] = set()
        self._lock = threading.Lock()
        self.wake = threading.Event()
        """Set when something has changed."""
        self._of_captures = {
            kind.resource.full_kind: Informer(api, kind.resource, self._capture_changed(kind), optional=kind.optional)
            for kind in kinds
        }
        self.stores = Informer(api, CAPTURE_STORES, self._store_changed, optional=True)
        self._of_parts = Informer(api, NODE_CAPTURES, self._part_changed, namespace)
        self._of_pods = Informer(api, PODS, self._pod_changed)
        self._of_leases = Informer(api, LEASES, self._lease_changed, LEASE_NAMESPACE)

    @property
    def informers(self) -> list[Informer[Any]]:
        """All informers."""
        return [*self._of_captures.values(), self.stores, self._of_parts, self._of_pods, self._of_leases]

    def start(self) -> None:
        """Start to follow the cluster."""
        for informer in self.informers:
            informer.start()

    @property
    def synced(self) -> bool:
        """True if everything was listed once: before, nothing may be decided."""
        return all(informer.synced.is_set() for informer in self.informers)

    def take_changed(self) -> set[str]:
        """Return the uids of captures that have to be looked at, and forget them."""
        self.wake.clear()
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def look_again(self, uids: Iterable[str]) -> None:
        """Have captures looked at."""
        with self._lock:
            self._changed.update(uids)
        self.wake.set()

    def capture(self, full_kind: str, namespace: str, name: str) -> KnownCapture | None:
        """Return the capture of a kind with this name."""
        informer = self._of_captures.get(full_kind)
        item = informer.get(f"{namespace}/{name}" if namespace else name) if informer else None
        return None if item is None else self.captures.get(item.metadata.uid)

    def parts_of(self, uid: str) -> list[NodeCapture]:
        """Return the parts of a capture."""
        return list(self.parts.get(uid, {}).values())

    def pod(self, namespace: str, name: str) -> KubePod | None:
        """Return a pod as it is known now."""
        return self._pods.get(namespace, {}).get(name)

    def _capture_changed(self, kind: CaptureKind) -> Callable[[Any], None]:
        def changed(item: Any) -> None:
            informer = self._of_captures[kind.resource.full_kind]
            present: Any = informer.get(key_of(item))
            if present is item:
                self.captures[item.metadata.uid] = KnownCapture(kind, item)
            else:
                self.captures.pop(item.metadata.uid, None)
                self.look_again(self.incomplete())  # there may be room now
            self.look_again([item.metadata.uid])

        return changed

    def _store_changed(self, store: CaptureStoreObject) -> None:
        self.look_again(self.incomplete())  # one may wait for it

    def _part_changed(self, part: NodeCapture) -> None:
        uid = part.metadata.labels.get(CAPTURE_LABEL, part.spec.capture.uid)
        parts = self.parts.setdefault(uid, {})
        before = parts.get(part.metadata.name)
        if self._of_parts.get(key_of(part)) is part:
            parts[part.metadata.name] = part
            ended = part.status.phase in ENDED and (before is None or before.status.phase not in ENDED)
        else:
            parts.pop(part.metadata.name, None)
            ended = True
        self.look_again([uid, *(self.incomplete() if ended else ())])

    def add_part(self, part: NodeCapture) -> None:
        """Know a part that was just made."""
        self.parts.setdefault(part.spec.capture.uid, {}).setdefault(part.metadata.name, part)

    def _pod_changed(self, pod: KubePod) -> None:
        namespace = pod.metadata.namespace
        pods = self._pods.setdefault(namespace, {})
        if self._of_pods.get(key_of(pod)) is pod:
            pods[pod.metadata.name] = pod
        else:
            pods.pop(pod.metadata.name, None)
        self._pod_changes.update((namespace, ""))
        concerned = [
            known.uid for known in list(self.captures.values()) if known.item.metadata.namespace in ("", namespace)
        ]
        self.look_again(concerned)

    def _lease_changed(self, lease: Lease) -> None:
        if self._of_leases.get(key_of(lease)) is None:
            self._pulse.gone(lease.metadata.name)
        else:
            self._pulse.noticed(lease)

    def feel_pulse(self) -> None:
        """Find out which agents are alive; if that has changed, every capture is looked at."""
        alive = self._pulse.alive()
        if alive != self._alive:
            self._alive = alive
            self.look_again(self.incomplete())

    def is_alive(self, node: str) -> bool:
        """True if the agent of a node is alive."""
        return node in self._alive

    @property
    def alive(self) -> frozenset[str]:
        """Nodes whose agents are alive."""
        return self._alive

    def pods_for(self, known: KnownCapture) -> list[KubePod]:
        """Return the pods that a capture may be about."""
        namespace = known.item.metadata.namespace
        if namespace:
            return list(self._pods.get(namespace, {}).values())
        return [pod for pods in list(self._pods.values()) for pod in list(pods.values())]

    def pods_version(self, known: KnownCapture) -> int:
        """Return a number that another one follows when `pods_for` may be different."""
        return self._pod_changes[known.item.metadata.namespace]

    def incomplete(self) -> list[str]:
        """Return the uids of captures that have not ended."""
        return [
            known.uid for known in list(self.captures.values()) if known.kind.status(known.item).completed_at is None
        ]

    def running(self) -> RunningCount:
        """Return how many captures have parts that have not ended, by namespace and by node."""
        of_namespace: Counter[str] = Counter()
        on_node: Counter[str] = Counter()
        for parts in list(self.parts.values()):
            active = [part for part in list(parts.values()) if part.status.phase not in ENDED]
            on_node.update(part.spec.node for part in active)
            if active:
                of_namespace[active[0].spec.capture.namespace] += 1
        return RunningCount(of_namespace, on_node)
