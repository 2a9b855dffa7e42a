"""The folder of a capture -> the incidents of its recorder: entries for a status, and the names of whole files.

What is complete does not change any more, so its JSON is read once; the folder is listed again and again, because a
recorder removes the oldest.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capture.cluster.recorder_objects import IncidentEntry, cut
from capture.live.incident_folder import incident_summary, is_incident
from capture.sink.place import summary_path


class IncidentFiles:
    """The incidents in a folder, as they were at the last `look`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._whole: dict[str, IncidentEntry] = {}
        self.entries: list[IncidentEntry] = []
        """All incidents, the oldest first."""

    def look(self) -> None:
        """List the folder."""
        try:
            names = sorted(path.name for path in self._folder.iterdir() if is_incident(path.name))
        except OSError:  # not made yet
            names = []
        self._whole = {name: entry for name, entry in self._whole.items() if name in set(names)}
        self.entries = [entry for name in names if (entry := self._entry(name)) is not None]

    def _entry(self, name: str) -> IncidentEntry | None:
        known = self._whole.get(name)
        if known is not None:
            return known
        path = self._folder / name
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return None
        entry = entry_of(name, size, incident_summary(str(path)))
        if entry.complete:
            self._whole[name] = entry
        return entry

    def finished(self, runs: bool) -> list[str]:
        """Return the names of the files that do not grow any more; `runs` is true while the recorder does."""
        whole = [entry.name for entry in self.entries if entry.complete or not runs]
        return [name for one in whole for name in (one, summary_path(one))]


def entry_of(name: str, size: int, summary: Mapping[str, Any]) -> IncidentEntry:
    """Return what a status says of an incident, from its JSON."""
    fired_ns, value = summary.get("fired_ns"), summary.get("value")
    return IncidentEntry(
        name,
        rule=cut(str(summary.get("rule", ""))),
        reason=cut(str(summary.get("reason") or "")),
        at=datetime.fromtimestamp(fired_ns / 1e9, UTC) if isinstance(fired_ns, int) else None,
        value="" if value is None else cut(str(value)),
        session=cut(str(summary.get("session") or "")),
        packets=int(summary.get("packets") or 0),
        bytes=size,
        complete=bool(summary.get("complete")),
    )
