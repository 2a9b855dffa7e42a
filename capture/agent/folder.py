"""The agent's folder on the node -> a folder for each capture: its files, and what is known of its parts.

/var/lib/bicap/UID/state.json
/var/lib/bicap/UID/NAME-NODE.pcapng, and beside it FILE.json
/var/lib/bicap/UID/NAME-NODE-2.pcapng, after an interruption
"""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from capture.agent.repair import repair
from capture.agent.state import CaptureRecord, PartRecord
from capture.cluster.objects import FileEntry
from capture.errors import SinkError
from capture.live.incident_folder import incident_summary, is_incident
from capture.sink.place import cannot, summary_path

_STATE = "state.json"
_LOCK = ".lock"
KILLED = "Killed"
"""Reason of the end of a part whose process was killed while its agent looked on."""
LOCK_SECONDS = 30.0
"""Longest wait for the captures of an agent that was killed to complete their files."""


class Home:
    """The folder of all captures, which only one agent at a time may use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise cannot("use", str(path), error) from None
        deadline = time.monotonic() + LOCK_SECONDS
        while not self._locked():
            if time.monotonic() > deadline:
                os.close(self._lock)
                raise SinkError(f"{path} is used by another agent; end that, or give another folder")
            time.sleep(0.1)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @property
    def lock(self) -> int:
        """Descriptor that holds the lock while any process has it open."""
        return self._lock

    def close(self) -> None:
        """Let another agent use it."""
        os.close(self._lock)

    def folders(self) -> Iterator["CaptureFolder"]:
        """Yield the folders of all captures that an agent has made here."""
        for path in sorted(self.path.iterdir()):
            if (path / _STATE).is_file():
                yield CaptureFolder(path)

    def folder(self, uid: str) -> "CaptureFolder":
        """Return the folder of a capture; it need not exist."""
        if not uid or "/" in uid or uid.startswith("."):
            raise SinkError(f"{uid!r} is not the UID of a capture")
        return CaptureFolder(self.path / uid)


class CaptureFolder:
    """The folder of one capture."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def uid(self) -> str:
        """UID of the capture."""
        return self.path.name

    def load(self) -> CaptureRecord | None:
        """Return what is known; None if there is nothing, or nothing that can be read."""
        try:
            return msgspec.json.decode((self.path / _STATE).read_bytes(), type=CaptureRecord)
        except (OSError, msgspec.DecodeError):
            return None

    def save(self, state: CaptureRecord) -> None:
        """Keep what is known, also over a crash of the machine. Raises SinkError."""
        temporary = self.path / f"{_STATE}.tmp"
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(msgspec.json.encode(state))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / _STATE)
        except OSError as error:
            raise cannot("write", str(temporary), error) from None

    def remove(self) -> None:
        """Remove the capture with all its files."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path)

    def complete(self, part: PartRecord, summary: dict[str, Any] | None, now: datetime, reason: str) -> PartRecord:
        """Return a part that has ended, with its files. `summary` is None if it was killed, or nobody knows.

        Then the summary may be beside the file: the child outlived whoever would have heard it. Else the last file
        is repaired.
        """
        if part.recorder:
            return self._complete_recorder(part, summary, part.ended or now, reason)
        summary = summary or self._summary(part)
        ended = part.ended or now
        if summary is not None:
            return msgspec.structs.replace(_concluded(part, summary, reason), files=self._files(part, summary))
        packets, last = 0, part.began
        files = []
        for path in self.paths(part):
            found = repair(path)
            packets += found.packets
            last = _time(found.last_ns) if found.last_ns else last
            entry = FileEntry(os.path.basename(path), found.bytes, last=last)
            files.append(entry)
        return msgspec.structs.replace(
            part, ended=(last or ended) if part.began else ended, reason=reason, unaccounted=packets, files=files
        )

    def _complete_recorder(
        self, part: PartRecord, summary: dict[str, Any] | None, now: datetime, reason: str
    ) -> PartRecord:
        """Return the part of a recorder that has ended; an unfinished incident is cut after its last block."""
        if summary is None:
            for path in self.path.iterdir() if self.path.is_dir() else ():
                if is_incident(path.name) and not incident_summary(str(path)).get("complete"):
                    repair(str(path))
            known = now if reason == KILLED else max(part.began or now, self._last_saved())
            return msgspec.structs.replace(part, ended=known, reason=reason)
        return _concluded(part, summary, reason)

    def _last_saved(self) -> datetime:
        """Return when something was last noted: then the recorder was alive."""
        try:
            return datetime.fromtimestamp((self.path / _STATE).stat().st_mtime, UTC)
        except OSError:
            return datetime.fromtimestamp(0, UTC)

    def _summary(self, part: PartRecord) -> dict[str, Any] | None:
        try:
            found = json.loads(Path(summary_path(str(self.path / part.file))).read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def paths(self, part: PartRecord) -> list[str]:
        """Return the files of a part: one, or a numbered set."""
        stem, _, suffix = str(self.path / part.file).partition(".pcapng")
        return sorted(
            path
            for path in (str(self.path / part.file), *glob.glob(f"{glob.escape(stem)}_[0-9]*_[0-9]*.pcapng{suffix}"))
            if os.path.isfile(path)
        )

    def _files(self, part: PartRecord, summary: dict[str, Any]) -> list[FileEntry]:
        ends = [_time(file["began_ns"]) for file in summary["files"][1:]] + [_time(summary["ended_ns"])]
        entries = []
        for file, last in zip(summary["files"], ends, strict=True):
            path = self.path / os.path.basename(file["path"])
            if path.is_file():
                entries.append(FileEntry(path.name, path.stat().st_size, first=_time(file["began_ns"]), last=last))
        return entries

    def digest(self, name: str) -> str | None:
        """Return the SHA-256 of a file; None if it is gone."""
        try:
            with open(self.path / name, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None


def _concluded(part: PartRecord, summary: dict[str, Any], reason: str) -> PartRecord:
    """Return a part of which everything but its files is what the summary says."""
    return msgspec.structs.replace(
        part,
        began=part.began or _time(summary["started_ns"]),
        ended=_time(summary["ended_ns"]),
        reason=reason,
        account=summary["account"],
        clock=str(summary["clock"]["state"]),
    )


def _time(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)
