"""A folder of incidents -> their list, and room for the next one: the oldest go first.

An incident is NAME.pcapng with NAME.pcapng.json beside it, or of a ring of files NAME_00007_20261130190427.pcapng and
those that follow, with NAME.pcapng.json. Only files that have such names are ours.
"""

import contextlib
import json
import os
import re
import time
from dataclasses import dataclass
from typing import Any

from capture.errors import SinkError, TargetError
from capture.recording import RecordingSpec
from capture.sink.place import make_directory, make_way, owner_of, summary_path

_OURS = re.compile(r"(incident-\d{8}T\d{6}\.\d{3}Z-[\w.-]*?)(?:_\d{5}_\d{14})?\.pcapng")
_SLUG = re.compile(r"[^A-Za-z0-9]+")
_SLUG_MAX = 40
_SUMMARY_LIMIT = 1 << 24


@dataclass(frozen=True, slots=True)
class StoredIncident:
    """An incident in a folder. `path` names it for all commands that read captures; `files` are its capture files."""

    path: str
    files: tuple[str, ...]
    size: int
    written_ns: int
    """Time of the last change, wall clock."""

    @property
    def summary(self) -> dict[str, Any]:
        """Its JSON, empty if that cannot be read."""
        return incident_summary(self.path)


def is_incident(name: str) -> bool:
    """True if a file of this name is an incident."""
    return _OURS.fullmatch(name) is not None


def stored_incidents(folder: str) -> list[StoredIncident]:
    """Return the incidents of a folder, oldest first. Raises TargetError."""
    names: dict[str, list[str]] = {}
    try:
        for name in sorted(os.listdir(folder)):
            if found := _OURS.fullmatch(name):
                names.setdefault(f"{found[1]}.pcapng", []).append(os.path.join(folder, name))
    except OSError as error:
        raise TargetError(f"{folder} cannot be read: {error.strerror}; name the folder of --incidents") from None
    stored = []
    for name, files in sorted(names.items()):
        with contextlib.suppress(FileNotFoundError):  # a recorder may remove it now
            known = [os.stat(file) for file in files]
            size, written_ns = sum(one.st_size for one in known), max(one.st_mtime_ns for one in known)
            stored.append(StoredIncident(os.path.join(folder, name), tuple(files), size, written_ns))
    return stored


def incident_summary(path: str) -> dict[str, Any]:
    """Return the JSON of an incident; empty if there is none that can be read."""
    try:
        with open(summary_path(path), encoding="utf-8") as file:
            summary = json.loads(file.read(_SUMMARY_LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    return summary if isinstance(summary, dict) else {}


class IncidentFolder:
    """The folder of a recorder. Raises SinkError if nothing can be written there."""

    def __init__(self, path: str, recording: RecordingSpec, user: str | None) -> None:
        self.path, self._recording = path, recording
        probe = os.path.join(path, "probe")
        try:
            make_directory(probe, owner_of(user))
        except OSError as error:
            raise SinkError(f"cannot make {path}: {error.strerror}; name another folder with --incidents") from None
        make_way(probe)

    def new_path(self, rule: str, wall_ns: int) -> str:
        """Return the path of the next incident."""
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(wall_ns // 10**9))
        slug = _SLUG.sub("-", rule).strip("-")[:_SLUG_MAX].strip("-") or "trigger"
        return os.path.join(self.path, f"incident-{moment}.{wall_ns // 10**6 % 1000:03d}Z-{slug}.pcapng")

    def make_room(self, wall_ns: int, incidents: int = 0, keep: str | None = None) -> list[str]:
        """Remove the oldest incidents until the bounds hold with `incidents` more. Returns those removed.

        `keep` is one that is being written.
        """
        recording, removed = self._recording, []
        try:
            found = stored_incidents(self.path)
        except TargetError:
            return []
        count, size = len(found) + incidents, sum(one.size for one in found)
        for one in found:
            too_old = recording.age_ns is not None and one.written_ns < wall_ns - recording.age_ns
            if one.path == keep or not (count > recording.kept or size > recording.size or too_old):
                continue
            for path in (*one.files, summary_path(one.path)):
                with contextlib.suppress(OSError):
                    os.unlink(path)
            count, size = count - 1, size - one.size
            removed.append(one.path)
        return removed
