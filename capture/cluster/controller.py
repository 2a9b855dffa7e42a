"""The view of a cluster -> decisions, carried out while this process leads.

Each round decides about the captures that something has changed for, the oldest first, and every few seconds about
all that have not ended: time passes, too. What fails is tried again in a later round.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from capture.alerts import FiringAlert
from capture.cluster.admission import checked_spec
from capture.cluster.alarm_inbox import AlarmInbox, KnownRecorder, selected
from capture.cluster.api import NODE_CAPTURES, Api, Resource
from capture.cluster.capture_status import CaptureEvent, rejected, story
from capture.cluster.decision import Decision, Situation, decide
from capture.cluster.forwarding import Alarm
from capture.cluster.kinds import OWN_KINDS, CaptureKind, reference
from capture.cluster.kube import SYSTEM_NAMESPACE, KubeStruct, ObjectMetadata, now, plain
from capture.cluster.lease import RETRY_SECONDS, Elector
from capture.cluster.objects import (
    AGENT_FINALIZER,
    CAPTURE_LABEL,
    CONTROLLER_FINALIZER,
    ENDED,
    NODE_LABEL,
    CaptureObject,
    CaptureStatus,
    NodeCapture,
    NodeCaptureSpec,
    StoreOrder,
    node_capture_name,
)
from capture.cluster.pods_by_node import PodPlaces, on_nodes, pod_places, waiting_text
from capture.cluster.quota import Quota, RunningCount
from capture.cluster.recorder_objects import AlertAnswer, FiredOrder, cut
from capture.cluster.store_order import order_for, store_key
from capture.cluster.view import ClusterView, KnownCapture
from capture.errors import ApiError, SpecError
from capture.request.document import Document, is_recorder
from capture.spec import CaptureSpec

LEASE = "bicap-controller"
ROUND_SECONDS = 0.1
"""Shortest time between two rounds: what changes together is decided about together."""
SWEEP_SECONDS = 2.0
"""Time between two looks at all captures that have not ended."""
REQUESTS_AT_ONCE = 8
"""Most requests for parts that are under way: a capture may have a thousand."""
NUMBERS_SECONDS = 2.0
"""Shortest time between two writes of a status in which only numbers have changed."""
ALARM_SECONDS = 8.0
"""Longest wait until the nodes of an alert are told; Alertmanager waits for ten."""
EVENTS = Resource("events.k8s.io/v1", "events", "Event", KubeStruct)
_log = logging.getLogger("bicap.controller")
T = TypeVar("T")


class Controller:
    """Decides about all captures of a cluster while it leads."""

    def __init__(
        self,
        api: Api,
        identity: str,
        quota: Quota,
        kinds: Sequence[CaptureKind] = OWN_KINDS,
        namespace: str = SYSTEM_NAMESPACE,
    ) -> None:
        self._api, self._identity, self._quota, self._namespace = api, identity, quota, namespace
        self.world = ClusterView(api, kinds, namespace)
        self._elector = Elector(api, LEASE, namespace, identity)
        self._admitted: dict[str, tuple[int, Document, CaptureSpec] | tuple[int, str]] = {}
        """By uid: a generation, and its document and spec, or the reason why it is rejected."""
        self._written: dict[str, tuple[CaptureStatus, float]] = {}
        """By uid: the status that was written last, and when; only while this process leads."""
        self._queued: dict[str, datetime] = {}
        self._places: dict[str, tuple[tuple[int, int], PodPlaces]] = {}
        """By uid: generation and version of the pods, and where the capture runs."""
        self._alarms = AlarmInbox()
        self._requests = ThreadPoolExecutor(REQUESTS_AT_ONCE, "requests")
        self._ending = threading.Event()

    @property
    def leads(self) -> bool:
        """True if this process decides."""
        return self._elector.leads

    def stop(self) -> None:
        """Let `run` end; signal handlers may call this."""
        self._ending.set()
        self.world.wake.set()

    def run(self) -> None:
        """Decide until `stop` is called."""
        self.world.start()
        threading.Thread(target=self._elect, name="elector", daemon=True).start()
        led, next_sweep = False, 0.0
        while not self._ending.is_set():
            self.world.wake.wait(SWEEP_SECONDS / 4)
            if self._ending.wait(ROUND_SECONDS) or not (self.leads and self.world.synced):
                led = led and self.leads
                continue
            if not led:
                _log.info("leads", extra={"identity": self._identity})
                self._written.clear()
                self._queued.clear()
                led, next_sweep = True, 0.0
            if time.monotonic() >= next_sweep:
                next_sweep = time.monotonic() + SWEEP_SECONDS
                self.world.feel_pulse()
                self.world.look_again([*self.world.captures, *self.world.parts])
            self._round(self.world.take_changed())
        self._elector.release()

    def _elect(self) -> None:
        while not self._ending.is_set():
            self._elector.step()
            self._ending.wait(RETRY_SECONDS)

    def _round(self, uids: set[str]) -> None:
        known = [self.world.captures[uid] for uid in uids if uid in self.world.captures]
        for capture in sorted(known, key=lambda known: (known.item.metadata.creation_timestamp or now(), known.uid)):
            self._attempt(capture.uid, lambda capture=capture: self._decide(capture))  # type: ignore[misc]
        for uid in uids - self.world.captures.keys():
            self._attempt(uid, lambda uid=uid: self._remove_parts(uid))  # type: ignore[misc]
            self._forget(uid)

    def _attempt(self, uid: str, step: Callable[[], object]) -> None:
        """Do a step if this process still leads; one that fails is done again later."""
        if not self.leads:
            return
        try:
            step()
        except ApiError as error:
            if error.code not in (404, 409):  # somebody else was faster; the sweep looks again
                _log.warning(str(error), extra={"capture": uid})
        except Exception:
            _log.exception("bug: a decision failed", extra={"capture": uid})

    def _forget(self, uid: str) -> None:
        for memory in (self._admitted, self._written, self._queued, self._places):
            memory.pop(uid, None)
        self._alarms.drop(uid)

    # What is decided.

    def _decide(self, capture: KnownCapture) -> None:
        item, kind = capture.item, capture.kind
        metadata = item.metadata
        if metadata.deletion_timestamp is not None:
            self._delete(capture)
            return
        before = self._before(capture)
        accepted = self._accept(capture)
        if len(accepted) == 2:
            self._write(capture, before, rejected(before, metadata.generation, accepted[1], now()))
            return
        if CONTROLLER_FINALIZER not in metadata.finalizers:
            finalizers = [*metadata.finalizers, CONTROLLER_FINALIZER]
            self._api.patch(
                kind.resource,
                metadata.name,
                {"metadata": {"finalizers": finalizers}},
                metadata.namespace,
                capture.uid,
            )
        _, document, spec = accepted
        with self._alarms.taken(capture.uid) as (alarms, sent):
            decision = self._decided(capture, document, spec, before, alarms)
            self._at_once(self._create, decision.create)
            self._at_once(self._change, decision.change)
            sent |= decision.sent
        self._write(capture, before, decision.status)
        if decision.expired:
            self._api.delete(kind.resource, metadata.name, metadata.namespace, capture.uid)

    def _decided(
        self,
        capture: KnownCapture,
        document: Document,
        spec: CaptureSpec,
        before: CaptureStatus,
        alarms: Sequence[Alarm],
    ) -> Decision:
        item, kind = capture.item, capture.kind
        store, no_store = self._store(capture, document)
        places = self._where(capture, document, spec)
        return decide(
            Situation(
                capture=CaptureObject(item.metadata, item.spec, before),
                reference=reference(kind, item),
                document=document,
                pods=places.by_node,
                parts=list(self.world.parts.get(capture.uid, {}).values()),
                alive=self.world.is_alive,
                room=lambda nodes: self._room(capture, nodes),
                waiting_for=waiting_text(spec, places),
                now=now(),
                store=store,
                no_store=no_store,
                alarms=alarms,
            )
        )

    def _where(self, capture: KnownCapture, document: Document, spec: CaptureSpec) -> PodPlaces:
        """Return where a capture runs; a cluster has many pods, so they are looked through when one has changed."""
        metadata = capture.item.metadata
        version = metadata.generation, self.world.pods_version(capture)
        known = self._places.get(capture.uid)
        if known is None or known[0] != version:
            found = pod_places(spec, self.world.pods_for(capture), whole_nodes=not metadata.namespace)
            known = self._places[capture.uid] = version, found
        return on_nodes(known[1], document.target, self.world.alive)

    def _store(self, capture: KnownCapture, document: Document) -> tuple[StoreOrder | None, str | None]:
        """Return the store that a capture names, or why it cannot be used."""
        name, namespace = document.store.name, capture.item.metadata.namespace
        if name is None:
            return None, None
        try:
            return order_for(namespace, name, self.world.stores.get(store_key(namespace, name))), None
        except SpecError as error:
            return None, str(error)

    def _accept(self, capture: KnownCapture) -> tuple[int, Document, CaptureSpec] | tuple[int, str]:
        generation = capture.item.metadata.generation
        found = self._admitted.get(capture.uid)
        if found is None or found[0] != generation:
            try:
                document = capture.kind.document(capture.item)
                found = generation, document, checked_spec(document)
            except SpecError as error:
                found = generation, str(error)
            self._admitted[capture.uid] = found
        return found

    def _room(self, capture: KnownCapture, nodes: Any) -> str | None:
        created = capture.item.metadata.creation_timestamp or now()
        running = self.world.running()
        if self.world.parts.get(capture.uid):  # it counts already for its namespace
            running = RunningCount({}, running.on_node)
        ahead = [uid for uid, at in self._queued.items() if uid != capture.uid and at < created]
        refusal = self._quota.refusal(capture.item.metadata.namespace, nodes, running, ahead)
        if refusal is None:
            self._queued.pop(capture.uid, None)
        else:
            self._queued[capture.uid] = created
        return refusal

    # Alerts.

    def raise_alarms(self, alerts: Sequence[FiringAlert]) -> list[AlertAnswer]:
        """Fire the recorders that alerts select, and wait until their nodes are told; threads of doors call this.

        Raises ApiError if that was not done.
        """
        recorders = self._recorders()
        asked = [(alert, one) for alert in alerts for one in selected(alert.labels, recorders)]
        waiting = [
            (alert, one, self._alarms.put(one.uid, Alarm(alert.id, cut(alert.name), cut(alert.reason))))
            for alert, one in asked
        ]
        self.world.look_again([one.uid for _, one in asked])
        answers = {alert.id: AlertAnswer(alert.name) for alert in alerts}
        deadline = time.monotonic() + ALARM_SECONDS
        for alert, one, answer in waiting:
            try:
                told = answer.result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                for _, _, late in waiting:
                    late.cancel()
                raise ApiError(f"the nodes of {one} were not told in {ALARM_SECONDS:g} s", 0) from None
            found = answers[alert.id]
            (found.fired if told else found.passed_over).append(str(one))
        return [*answers.values()]

    def _recorders(self) -> list[KnownRecorder]:
        """Return the recorders that have parts which have not ended."""
        found = []
        for uid, accepted in list(self._admitted.items()):
            known, parts = self.world.captures.get(uid), self.world.parts_of(uid)
            if known is None or len(accepted) == 2 or not is_recorder(accepted[1]):
                continue
            active = [part for part in parts if part.status.phase not in ENDED]
            pods = [pod for part in active for pod in part.spec.pods if pod.node == part.spec.node]
            metadata = known.item.metadata
            if active:
                places = frozenset((pod.namespace, pod.name) for pod in pods)
                found.append(KnownRecorder(uid, metadata.namespace, metadata.name, places))
        return found

    # What is done.

    def _before(self, capture: KnownCapture) -> CaptureStatus:
        written = self._written.get(capture.uid)
        return written[0] if written else capture.kind.status(capture.item)

    def _write(self, capture: KnownCapture, before: CaptureStatus, status: CaptureStatus) -> None:
        if plain(status) == plain(before):
            return
        events = story(before, status)
        _, at = self._written.get(capture.uid, (None, 0.0))
        if not events and status.phase == before.phase and time.monotonic() - at < NUMBERS_SECONDS:
            return  # the sweep comes back to it
        metadata = capture.item.metadata
        written = capture.kind.written(capture.item, status)
        self._api.set_status(capture.kind.resource, metadata.name, written, metadata.namespace)
        self._written[capture.uid] = status, time.monotonic()
        for event in events:
            self._tell(capture, event, status)

    def _tell(self, capture: KnownCapture, event: CaptureEvent, status: CaptureStatus) -> None:
        metadata = capture.item.metadata
        kind = capture.kind.resource
        # The same event gets the same name, so that a controller that takes over does not repeat it.
        told = json.dumps([metadata.uid, event.reason, event.message, str(status.started_at)])
        digest = hashlib.sha256(told.encode()).hexdigest()[:16]
        body = {
            "metadata": {"name": f"{metadata.name[:200].rstrip('-.')}.{digest}"},
            "eventTime": now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": "bicap.io/controller",
            "reportingInstance": self._identity[:128],
            "action": event.reason,
            "reason": event.reason,
            "note": event.message[:1000] or event.reason,
            "type": "Warning" if event.warning else "Normal",
            "regarding": {
                "apiVersion": kind.group_version,
                "kind": kind.kind,
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": metadata.uid,
            },
        }
        _log.info(event.message, extra={"event": event.reason, "capture": f"{metadata.namespace}/{metadata.name}"})
        try:
            self._api.create(EVENTS, body, metadata.namespace or "default")
        except ApiError as error:
            if error.code != 409:
                _log.warning(str(error), extra={"capture": metadata.uid})

    def _create(self, spec: NodeCaptureSpec) -> None:
        name = node_capture_name(spec.capture.uid, spec.node)
        labels = {NODE_LABEL: spec.node[:63].rstrip("-."), CAPTURE_LABEL: spec.capture.uid}
        metadata = {"name": name, "labels": labels, "finalizers": [AGENT_FINALIZER]}
        self._api.create(NODE_CAPTURES, {"metadata": metadata, "spec": plain(spec)}, self._namespace)
        self.world.add_part(NodeCapture(ObjectMetadata(name=name, namespace=self._namespace, labels=labels), spec))

    def _change(self, change: tuple[NodeCapture, dict[str, Any]]) -> None:
        part, patch = change
        self._api.patch(NODE_CAPTURES, part.metadata.name, {"spec": patch}, part.metadata.namespace)
        if "fired" in patch:  # the informer brings it soon; what is decided until then must know it
            part.spec.fired = msgspec.convert(patch["fired"], list[FiredOrder])

    def _at_once(self, step: Callable[[T], object], items: Sequence[T]) -> None:
        """Do a step for each item, several at a time; all of them are tried. Raises the first error."""
        if len(items) == 1:
            step(items[0])
            return
        errors = [future.exception() for future in [self._requests.submit(step, item) for item in items]]
        for error in filter(None, errors):
            raise error

    def _delete(self, capture: KnownCapture) -> None:
        """Delete the parts of a capture that is being deleted; when they are gone, let it go, too."""
        metadata = capture.item.metadata
        if self._remove_parts(capture.uid) == 0 and CONTROLLER_FINALIZER in metadata.finalizers:
            finalizers = [name for name in metadata.finalizers if name != CONTROLLER_FINALIZER]
            self._api.patch(
                capture.kind.resource,
                metadata.name,
                {"metadata": {"finalizers": finalizers}},
                metadata.namespace,
                capture.uid,
            )

    def _remove_parts(self, uid: str) -> int:
        """Delete the parts of a capture that is gone, or going. Returns how many there still are.

        An agent lets its part go when the files are removed. One that is missing does not: it removes files without
        a part when it comes back.
        """
        parts = list(self.world.parts.get(uid, {}).values())
        self._at_once(self._remove_part, parts)
        if not parts:
            self.world.parts.pop(uid, None)
        return len(parts)

    def _remove_part(self, part: NodeCapture) -> None:
        metadata = part.metadata
        if metadata.deletion_timestamp is None:
            self._api.delete(NODE_CAPTURES, metadata.name, metadata.namespace)
        elif not self.world.is_alive(part.spec.node) and metadata.finalizers:
            patch: dict[str, Any] = {"metadata": {"finalizers": []}}
            self._api.patch(NODE_CAPTURES, metadata.name, patch, metadata.namespace, metadata.uid)
