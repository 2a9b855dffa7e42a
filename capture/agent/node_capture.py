"""A NodeCapture -> its parts on this node, one after the other, and its status.

new ─▶ a part runs ─▶ it ended by itself: the capture has ended
                   ─▶ it was stopped by an order: the capture has ended
                   ─▶ it was killed, or the agent ends: the next part goes on, after a gap
"""

import logging
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from capture.agent.folder import KILLED, CaptureFolder
from capture.agent.node_upload import NodeUpload, ReadKeys
from capture.agent.pods import NodePods, PodsFile
from capture.agent.recorder_here import RecorderHere
from capture.agent.state import CaptureRecord, PartRecord, end_reason, folded, remaining, status_of
from capture.cluster.objects import NodeCapture, NodeStatus
from capture.errors import KernelError, SinkError, SpecError
from capture.nursery.nursery import CaptureChild, Nursery, Outcome
from capture.recording import MEMORY_DEFAULT
from capture.request.document import Document, is_recorder
from capture.spec import BUFFER_DEFAULT
from capture.storage import larger_min_free
from capture.units import parse_size

RESTART_SECONDS = 5.0
"""Time from the end of a part that was killed to the next one: a capture that always dies costs little."""
PARTS_MAX = 20
"""Most parts after which a capture that is killed again and again has failed."""
RECORDER_KILLS = timedelta(hours=1)
"""Time in which a recorder may be killed less often than that; agents that are upgraded do not count."""
UPLOAD_GRACE_SECONDS = 60.0
"""Time that the upload of a deleted capture has to finish."""
_FAILURES = {2: "Invalid", 3: "NothingToCapture", 4: "KernelRefused", 6: "OutputFailed"}
_log = logging.getLogger("bicap.agent")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all captures of a node."""

    node: str
    min_free: str
    scratch: Path
    """A folder for files that are not captures."""
    read_keys: ReadKeys


class CaptureHere:
    """A capture on this node, from its first part to its last."""

    def __init__(self, part: NodeCapture, folder: CaptureFolder, settings: Settings) -> None:
        self.object = part
        self.folder, self._settings = folder, settings
        self._child: CaptureChild | None = None
        self._pods_file = PodsFile(settings.scratch / f"{part.spec.capture.uid}.json")
        self._order = ""
        """Why the running part was told to end; "" if it was not."""
        self._next_at = 0.0
        self._waiting: tuple[str, str] | None = None
        self.state = folder.load() or CaptureRecord(part.spec.capture.uid, str(part.spec.capture))
        self._take_over()
        self._recorder = RecorderHere(self.state, folder, settings.node) if _records(part.spec.document) else None
        store = part.spec.store
        self._upload = (
            NodeUpload(store, self.state, folder, settings.node, settings.read_keys) if store is not None else None
        )

    # What was before.

    def _take_over(self) -> None:
        """Complete what an earlier agent left unfinished."""
        changed = False
        for number, part in enumerate(self.state.parts):
            if part.ended is None:
                self.state.parts[number] = self.folder.complete(part, None, _now(), "AgentRestart")
                changed = True
        if changed:
            self.state.parts = [part for part in self.state.parts if part.began or part.files]
            self.folder.save(self.state)

    # One step.

    @property
    def runs(self) -> bool:
        """True while a part runs."""
        return self._child is not None

    @property
    def written_ns(self) -> int:
        """Wall-clock time before which all packets are in the file of the part that runs; 0 if none does."""
        return self._child.written_ns if self._child is not None else 0

    @property
    def is_over(self) -> bool:
        """True if the capture has ended; it never begins again."""
        return self.state.ended

    @property
    def ring_bytes(self) -> int:
        """Memory of the rings that the capture asks for; a recorder has none."""
        if self._recorder is not None:
            return 0
        return _size(self.object.spec.document.get("limits", {}).get("buffer"), BUFFER_DEFAULT, "limits.buffer")

    @property
    def memory_bytes(self) -> int:
        """Memory that a recorder asks for."""
        if self._recorder is None:
            return 0
        return _size(self.object.spec.document.get("record", {}).get("memory"), MEMORY_DEFAULT, "record.memory")

    @property
    def is_recorder(self) -> bool:
        """True if it waits for triggers."""
        return self._recorder is not None

    def hear(self) -> None:
        """Take in what the running part has said, and nothing else."""
        if self._child is not None:
            self._listen()
        if self._recorder is not None:
            self._recorder.hear(self._child)

    def step(self, nursery: Nursery, pods: NodePods, refusal: str | None) -> None:
        """Do what is due. `refusal` is why no part may begin now; None if one may. Raises KernelError."""
        self.hear()
        if self.is_over:
            return
        if self._recorder is not None:
            self._recorder.tell(self._child, self.object.spec.fired)
        self._pods_file.write(pods.known(self.object.spec.pods, self._settings.node))
        if self.object.spec.stop or self.object.metadata.deletion_timestamp is not None:
            self.end("Stopped", "stopped")
        elif self._child is None and time.monotonic() >= self._next_at:
            if refusal is not None:
                self._waiting = ("NodeBusy", refusal)
            else:
                self._waiting = None
                self._begin(nursery)

    def _begin(self, nursery: Nursery) -> None:
        try:
            document = msgspec.convert(self.object.spec.document, Document)
        except msgspec.ValidationError as error:
            self._finish("Invalid", f"this agent does not know what is asked for: {error}", failed=True)
            return
        why = _not_for_a_node(document)
        if why:
            self._finish("Invalid", why, failed=True)
            return
        left = remaining(document, self.state, _now())
        if left is None:
            self._finish("Ended", "nothing was left of its limits")
            return
        if self._killed_too_often():
            self._finish("KilledAgain", f"it was killed {PARTS_MAX} times", failed=True)
            return
        if self._recorder is not None:
            self.state.parts = folded(self.state.parts, PARTS_MAX)
        part = PartRecord(self._file_name(document), recorder=self._recorder is not None)
        if self._recorder is not None:
            self._recorder.begins()
        self.state.parts.append(part)
        try:
            self.folder.save(self.state)
            self._child = nursery.start(self._document(left, part))
        except SinkError as error:
            self.state.parts.pop()
            self._finish("OutputFailed", str(error), failed=True)
        except KernelError:
            self.state.parts.pop()
            raise
        self._order = ""

    def _killed_too_often(self) -> bool:
        if self._recorder is None:
            return len(self.state.parts) >= PARTS_MAX
        recently = _now() - RECORDER_KILLS
        kills = [part for part in self.state.parts if part.reason == KILLED and part.ended and part.ended > recently]
        return len(kills) >= PARTS_MAX

    def _file_name(self, document: Document) -> str:
        number = len(self.state.parts) + 1
        suffix = ".pcapng.zst" if document.storage.compress else ".pcapng"
        name = f"{self.object.spec.capture.name[:100]}-{self._settings.node[:80]}"
        return f"{name}{f'-{number}' if number > 1 else ''}{suffix}"

    def _document(self, left: Document, part: PartRecord) -> Document:
        replace = msgspec.structs.replace
        comment = [text for text in (left.storage.comment, self._about(part)) if text]
        target = left.target
        if not target.interfaces or target.pods or target.selector or target.namespaces or target.all_pods:
            target = replace(target, wait=True, pods_file=str(self._pods_file.path))
        recorder = self._recorder is not None
        return replace(
            left,
            target=target,
            record=replace(left.record, folder=str(self.folder.path)) if recorder else left.record,
            storage=replace(
                left.storage,
                path=None if recorder else str(self.folder.path / part.file),
                min_free=self._min_free(left.storage.min_free),
                comment="; ".join(comment)[:1024],
            ),
        )

    def _min_free(self, asked: str | int | None) -> str:
        """Return what must stay free: a capture may ask for more than the node does, not for less."""
        if asked is None:
            return self._settings.min_free
        disk = os.statvfs(self.folder.path)
        return larger_min_free(self._settings.min_free, str(asked), disk.f_blocks * disk.f_frsize)

    def _about(self, part: PartRecord) -> str:
        capture = self.object.spec.capture
        text = f"{capture.kind} {capture}, UID {capture.uid}, node {self._settings.node}"
        earlier = [one for one in self.state.parts if one is not part and one.began]
        if earlier and earlier[-1].ended:
            last = earlier[-1]
            text += f"; goes on after {last.file}, which ended at {last.ended:%Y-%m-%dT%H:%M:%S.%fZ} ({last.reason})"
        return text

    # The running part.

    def _listen(self) -> None:
        child, part = self._child, self.state.parts[-1]
        assert child is not None
        try:
            outcome = child.wait(0)
        except KernelError as error:  # the nursery died, and with it the child
            outcome = Outcome(-9, str(error), None)
        if part.began is None and child.interfaces is not None:
            part.began = _now()
            self.folder.save(self.state)
        if outcome is not None:
            if self._recorder is not None:
                self._recorder.hear(child)
            child.close()
            self._child = None
            self._ended(part, outcome)
            if self._recorder is not None:
                self._recorder.look()

    def _ended(self, part: PartRecord, outcome: Outcome) -> None:
        killed = outcome.code < 0 or (outcome.summary is None and outcome.error is None)
        if killed:
            reason = KILLED
            text = f"killed by signal {-outcome.code}"
        elif self._order:
            reason, text = self._order, "stopped"
        elif outcome.error is not None:
            reason, text = _FAILURES.get(outcome.code, "Failed"), outcome.error
        else:
            assert outcome.summary is not None
            text = str(outcome.summary["end_reason"])
            reason = end_reason(text)
        if outcome.summary is None and not killed:
            self.state.parts.pop()  # it has not begun: there is no file
        else:
            self.state.parts[-1] = self.folder.complete(part, outcome.summary, _now(), reason)
        if killed:
            self._next_at = time.monotonic() + RESTART_SECONDS
            _log.warning("part was killed", extra={"capture": self.state.capture, "code": outcome.code})
        elif self._order != "AgentStopped":
            failed = outcome.error is not None and not self._order
            self._finish(reason, text, failed)
        self.folder.save(self.state)

    def end(self, reason: str, text: str) -> None:
        """End the running part, or the capture if none runs."""
        if self._child is None:
            if reason != "AgentStopped":
                self._finish(reason, text)
        elif not self._order:
            self._order = reason
            self._child.stop()

    def _finish(self, reason: str, text: str, failed: bool = False) -> None:
        self.state.ended, self.state.failed = True, failed
        self.state.reason, self.state.message = reason, text
        self._pods_file.remove()
        try:
            self.folder.save(self.state)
        except SinkError as error:
            _log.warning(str(error), extra={"capture": self.state.capture})

    # Its upload.

    def upload(self) -> None:
        """Upload what is finished, if the capture names a store."""
        if self._upload is None or self._upload.complete:
            return
        incidents = self._recorder.files.finished(self.runs) if self._recorder is not None else ()
        if self._upload.step(incidents):
            self.folder.save(self.state)

    @property
    def uploads_on(self) -> bool:
        """True while files of a capture that is being deleted are on their way, and nothing keeps them from it."""
        deleted = self.object.metadata.deletion_timestamp
        if self._upload is None or self._upload.complete or deleted is None or not self.state.parts:
            return False
        late = (_now() - deleted).total_seconds() > UPLOAD_GRACE_SECONDS
        return not late and not self._upload.status().message

    def end_upload(self) -> None:
        """End the uploader."""
        if self._upload is not None:
            self._upload.close()

    # What is said of it.

    def status(self) -> NodeStatus:
        """Return the present status."""
        child = self._child
        progress = child.progress.account if child is not None and child.progress else None
        interfaces = child.interfaces if child is not None else None
        generation = self.object.metadata.generation
        waiting = self._waiting
        if child is None and waiting is None and not self.is_over:
            waiting = ("Starting", "begins soon")
        recorder = self._recorder.status if self._recorder is not None else None
        status = status_of(self.state, generation, progress, interfaces, waiting, recorder)
        status.upload = None if self._upload is None else self._upload.status()
        return status

    def undigested(self) -> list[str]:
        """Return the files of ended parts, and whole incidents, whose SHA-256 is not known."""
        if self._recorder is not None:
            entries = self._recorder.files.entries
            return [
                one.name for one in entries if (one.complete or not self.runs) and one.name not in self.state.digests
            ]
        files = [file for part in self.state.parts if part.ended for file in part.files]
        return [file.name for file in files if file.sha256 is None]

    def digested(self, name: str, digest: str) -> None:
        """Note the SHA-256 of a file."""
        if self._recorder is not None:
            self.state.digests[name] = digest
        for part in self.state.parts:
            for file in part.files:
                if file.name == name:
                    file.sha256 = digest
        self.folder.save(self.state)

    def remove(self) -> None:
        """Remove the capture with all its files."""
        self.end_upload()
        self._pods_file.remove()
        self.folder.remove()


def _records(document: Any) -> bool:
    """True if the document of an order asks for a recorder; False if it is not understood."""
    try:
        return is_recorder(msgspec.convert(document, Document))
    except msgspec.ValidationError:
        return False


def _not_for_a_node(document: Document) -> str:
    """Return why a recorder in a cluster cannot have its rules; "" if it can. Only an agent can read them."""
    if not document.triggers:
        return ""
    from capture.live.trigger_rules import parse_rule  # it needs what knows columns

    try:
        rules = [parse_rule(text) for text in document.triggers]
    except SpecError as error:
        return f"spec.triggers: {error}"
    of_node = next((rule.text for rule in rules if rule.reason is not None), None)
    return "" if of_node is None else f"spec.triggers: {of_node}: the kernel's reasons are those of the whole node"


def _size(asked: str | int | None, default: int, name: str) -> int:
    return default if asked is None else parse_size(str(asked), name)


def _now() -> datetime:
    return datetime.now(UTC)
