"""The NodeCaptures of this node -> captures that run, statuses that are written, folders that are removed."""

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capture.agent.dial_out import Clock
from capture.agent.folder import Home
from capture.agent.live_tail import LiveTail, can_be_followed
from capture.agent.node_capture import CaptureHere, Settings
from capture.agent.pods import NodePods
from capture.cluster.api import NODE_CAPTURES, Api
from capture.cluster.informer import Informer
from capture.cluster.kube import LEASE_NAMESPACE, SYSTEM_NAMESPACE, plain
from capture.cluster.lease import Heartbeat
from capture.cluster.node_disk import NodeDisk, disk_annotation
from capture.cluster.objects import AGENT_FINALIZER, NODE_LABEL, NodeCapture
from capture.errors import ApiError, BicapError, KernelError
from capture.nursery.nursery import Nursery
from capture.retrieval.orders import AnswerHead
from capture.units import format_size

STEP_SECONDS = 0.25
"""Longest time between two looks at the captures: what their processes have said is heard then."""
RECORDED_STEP_SECONDS = 0.1
"""The same while a recorder runs: what it fires is for others, too."""
VIEWED_STEP_SECONDS = 0.05
"""The same while somebody watches a capture live."""
STATUS_SECONDS = 2.0
"""Shortest time between two writes of a status in which only numbers have changed."""
RECORDER_STATUS_SECONDS = 10.0
"""The same of a recorder, which lists a hundred incidents and runs for weeks."""
FIRED_STATUS_SECONDS = 0.5
"""Shortest time between two writes of a status because something fired."""
ORPHAN_SECONDS = 60.0
"""Time after which the files of a capture that has no object any more are removed."""
SWEEP_SECONDS = 5.0
DRAIN_SECONDS = 20.0
"""Longest wait for captures to complete their files when the agent ends."""
_log = logging.getLogger("bicap.agent")


@dataclass(frozen=True, slots=True)
class Room:
    """Most that captures may take of this node together."""

    captures: int = 16
    ring_bytes: int = 1 << 30
    memory_bytes: int = 1 << 30
    """Most that recorders may remember; it counts as memory of the agent's pod, as rings do not."""

    def refusal(self, others: Sequence[CaptureHere], more: CaptureHere) -> str | None:
        """Return why another capture beside those that run has no room; None if it has."""
        if len(others) >= self.captures:
            return f"{len(others)} captures run on this node, which is the most"
        rings, memory = sum(one.ring_bytes for one in others), sum(one.memory_bytes for one in others)
        return _too_much("rings of running captures have", rings, more.ring_bytes, self.ring_bytes) or _too_much(
            "running recorders have", memory, more.memory_bytes, self.memory_bytes
        )


def _too_much(what: str, used: int, more: int, most: int) -> str | None:
    if used + more <= most or not more:
        return None
    return (
        f"{what} {format_size(used)}, this one asks for {format_size(more)}, and {format_size(most)} is the most on "
        "this node"
    )


class Agent:
    """Runs the captures of a node until `stop`. `on_ready` is called when captures can begin."""

    def __init__(
        self,
        api: Api,
        home: Home,
        settings: Settings,
        room: Room,
        sockets: tuple[str, ...] = (),
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_ready = on_ready
        self._api, self._home, self._settings, self._room = api, home, settings, room
        self._wake, self._ending = threading.Event(), threading.Event()
        self._pods = NodePods(sockets, self._wake.set)
        label = settings.node[:63].rstrip("-.")
        self._objects: Informer[NodeCapture] = Informer(
            api, NODE_CAPTURES, lambda _: self._wake.set(), SYSTEM_NAMESPACE, f"{NODE_LABEL}={label}"
        )
        self._heartbeat = Heartbeat(api, settings.node, LEASE_NAMESPACE, settings.node, self._disk)
        self._captures: dict[str, CaptureHere] = {}
        """By the UID of the capture."""
        self._written: dict[str, tuple[Any, float]] = {}
        """By the UID of the capture: the status that was written last, and when."""
        self._retry: dict[str, float] = {}
        """When a status that could not be written is tried again."""
        self._orphans: dict[str, float] = {}
        self._next_sweep = 0.0
        self._views: list[None] = []
        """One for each live view."""
        self._digests = ThreadPoolExecutor(1, "digest")
        self._digesting: dict[tuple[str, str], Future[str | None]] = {}

    def live(self, uid: str, clock: Clock) -> tuple[AnswerHead, Generator[bytes, None, None]]:
        """Return a live view of a capture on this node; other threads may call this."""
        here = self._captures.get(uid)
        if here is None:
            return AnswerHead(404, "the capture does not run on this node"), _nothing()
        if here.is_recorder:
            return AnswerHead(409, "a recorder cannot be followed live; its incidents can be fetched"), _nothing()
        if not can_be_followed(here.folder):
            return AnswerHead(409, "its files are compressed, which cannot be followed live"), _nothing()

        def over() -> str | None:
            if self._captures.get(uid) is not here:
                return "the capture was deleted"
            return here.state.message if here.is_over else None

        tail = LiveTail(here.folder, self._settings.node, lambda: here.written_ns, over, clock)
        return AnswerHead(), self._viewed(tail.frames())

    def _viewed(self, frames: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
        """Yield frames; meanwhile captures are heard more often."""
        self._views.append(None)
        try:
            yield from frames
        finally:
            self._views.pop()

    def _disk(self) -> Mapping[str, str]:
        """Return what others may know of the disk; the heart beats on if it cannot be asked."""
        try:
            room = os.statvfs(self._home.path)
        except OSError as error:
            _log.warning("the disk of captures does not say how full it is: %s", error)
            return {}
        size, free = room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize
        return disk_annotation(NodeDisk(size=size, free=free, min_free=self._settings.min_free))

    def stop(self) -> None:
        """Let `run` end; signal handlers may call this."""
        self._ending.set()
        self._wake.set()

    def run(self) -> None:
        """Run captures until `stop` is called, then let them complete their files."""
        # Alive before the loops are compiled, which takes long where no cache is kept.
        self._pods.start()
        self._objects.start()
        self._heartbeat.start()
        nursery = Nursery([self._home.lock]).__enter__()
        try:
            self._on_ready()
            while not self._ending.is_set():
                due = self._pods.next_due()
                recorders = any(here.is_recorder and here.runs for here in self._captures.values())
                step = RECORDED_STEP_SECONDS if recorders else STEP_SECONDS
                step = VIEWED_STEP_SECONDS if self._views else step
                self._wake.wait(step if due is None else min(due, step))
                self._wake.clear()
                try:
                    self._step(nursery)
                except KernelError as error:  # the nursery died: its captures are killed, and go on as next parts
                    _log.error(str(error))
                    nursery.__exit__()
                    nursery = Nursery([self._home.lock]).__enter__()
            self._drain(nursery)
        finally:
            self._heartbeat.stop()
            self._objects.stop()
            self._pods.close()
            nursery.__exit__()
            self._digests.shutdown(cancel_futures=True)

    def _step(self, nursery: Nursery) -> None:
        self._pods.refresh()
        if not self._objects.synced.is_set():
            return
        objects = {part.spec.capture.uid: part for part in self._objects.objects}
        for uid, part in objects.items():
            if part.spec.node == self._settings.node:
                self._attempt(uid, lambda part=part: self._look_at(part, nursery))  # type: ignore[misc]
        for uid in [uid for uid in self._captures if uid not in objects]:
            self._attempt(uid, lambda uid=uid: self._let_go(self._captures[uid], nursery))  # type: ignore[misc]
        self._sweep(objects.keys())

    def _attempt(self, uid: str, step: Callable[[], None]) -> None:
        """Do a step for one capture: what goes wrong with it is no other's trouble."""
        try:
            step()
        except KernelError:
            raise
        except BicapError as error:
            _log.warning(str(error), extra={"capture": uid})
        except Exception:
            _log.exception("bug: a step failed", extra={"capture": uid})

    def _look_at(self, part: NodeCapture, nursery: Nursery) -> None:
        uid = part.spec.capture.uid
        here = self._captures.get(uid)
        if here is None:
            if part.metadata.deletion_timestamp is not None and self._home.folder(uid).load() is None:
                self._release(part)
                return
            here = self._captures[uid] = CaptureHere(part, self._home.folder(uid), self._settings)
        here.object = part
        here.step(nursery, self._pods, self._refusal(here))
        here.upload()
        if part.metadata.deletion_timestamp is None:
            self._digest(uid, here)
            self._write(uid, here)
        elif not here.runs and not here.uploads_on:
            here.remove()
            self._release(part)

    def _refusal(self, here: CaptureHere) -> str | None:
        others = [other for other in self._captures.values() if other is not here and other.runs]
        return self._room.refusal(others, here)

    def _let_go(self, here: CaptureHere, nursery: Nursery) -> None:
        """End and remove a capture whose object is gone: nobody could reach its files any more."""
        here.end("Deleted", "its object was deleted")
        here.step(nursery, self._pods, None)
        if not here.runs:
            here.remove()
            self._forget(here.folder.uid)

    def _release(self, part: NodeCapture) -> None:
        metadata = part.metadata
        finalizers = [name for name in metadata.finalizers if name != AGENT_FINALIZER]
        if len(finalizers) != len(metadata.finalizers):
            self._api.patch(
                NODE_CAPTURES,
                metadata.name,
                {"metadata": {"finalizers": finalizers}},
                metadata.namespace,
                metadata.uid,
            )
        self._forget(part.spec.capture.uid)

    def _forget(self, uid: str) -> None:
        self._captures.pop(uid, None)
        self._written.pop(uid, None)
        self._retry.pop(uid, None)

    def _digest(self, uid: str, here: CaptureHere) -> None:
        for name in here.undigested():
            job = self._digesting.get((uid, name))
            if job is None:
                self._digesting[uid, name] = self._digests.submit(here.folder.digest, name)
            elif job.done():
                del self._digesting[uid, name]
                here.digested(name, job.result() or "missing")

    def _write(self, uid: str, here: CaptureHere) -> None:
        status = plain(here.status())
        written, at = self._written.get(uid, ({}, 0.0))
        if written == status or time.monotonic() < self._retry.get(uid, 0.0):
            return
        same = all(written.get(name) == status.get(name) for name in ("phase", "reason"))
        if same and not here.is_over and time.monotonic() - at < status_pause(written, status):
            return
        metadata = here.object.metadata
        try:
            self._api.set_status(NODE_CAPTURES, metadata.name, status, metadata.namespace)
        except ApiError as error:
            self._retry[uid] = time.monotonic() + STATUS_SECONDS
            if error.code != 404:
                _log.warning(str(error), extra={"capture": here.state.capture})
            return
        if not same:
            _log.info(status.get("message"), extra={"capture": here.state.capture, "phase": status["phase"]})
        self._written[uid] = status, time.monotonic()

    def _sweep(self, known: object) -> None:
        """Remove the folders of captures that have had no object for some time."""
        if self._objects.trouble is not None:
            self._orphans.clear()
            return
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP_SECONDS
        for folder in self._home.folders():
            if folder.uid in self._captures or folder.uid in known:  # type: ignore[operator]
                self._orphans.pop(folder.uid, None)
            elif now - self._orphans.setdefault(folder.uid, now) > ORPHAN_SECONDS:
                _log.info("removed: its object is gone", extra={"capture": folder.uid})
                folder.remove()
                del self._orphans[folder.uid]

    def _drain(self, nursery: Nursery) -> None:
        """End all parts; the captures go on when an agent starts again."""
        for here in self._captures.values():
            here.end("AgentStopped", "the agent ends")
        deadline = time.monotonic() + DRAIN_SECONDS
        while any(here.runs for here in self._captures.values()) and time.monotonic() < deadline:
            for uid, here in self._captures.items():
                self._attempt(uid, lambda here=here: here.hear())  # type: ignore[misc]
            time.sleep(0.05)
        for uid, here in self._captures.items():
            here.end_upload()
            self._attempt(uid, lambda uid=uid, here=here: self._write(uid, here))  # type: ignore[misc]


def status_pause(written: Mapping[str, Any], status: Mapping[str, Any]) -> float:
    """Return how long after one status another may be written."""
    before, after = written.get("recorder"), status.get("recorder")
    if before is None or after is None:
        return STATUS_SECONDS
    if before["firings"] != after["firings"] and after["firings"]:
        return FIRED_STATUS_SECONDS
    return STATUS_SECONDS if before["incidents"] != after["incidents"] else RECORDER_STATUS_SECONDS


def _nothing() -> Generator[bytes, None, None]:
    yield from ()


def scratch_folder(node: str) -> Path:
    """Return the folder of a node's agent for files that are not captures; it is emptied."""
    folder = Path(tempfile.gettempdir(), f"bicap-agent-{node}")
    folder.mkdir(mode=0o700, exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder
