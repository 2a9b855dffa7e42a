"""A trigger and a ring of files -> hard links to the files around it, and their JSON.

A link costs no copy, and keeps the packets when the ring removes its own name. That of the file which is written now
grows with it. Files that begin later are linked as they begin, until one begins because the incident is over: so the
packets of its last file end exactly there. The files are valid after every write, and the JSON is beside them from
the first moment on, with `complete` false until the end.
"""

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from capture.errors import SinkError
from capture.live.cause import Cause
from capture.live.incident_record import IncidentRecord
from capture.live.incident_span import IncidentSpan
from capture.live.ring_files import RingFile, link_path
from capture.plan import CapturePlan
from capture.recording import RecordingSpec
from capture.run.account import Account
from capture.run.capture import Capture
from capture.run.file_start import FileStart
from capture.sink.place import cannot, owner_of, summary_path, write_beside
from capture.stream.clock import ClockStep

JSON_NS = 10**9
"""Shortest time between two writes of the JSON while files are added."""


@dataclass(frozen=True, slots=True)
class CaptureState:
    """What a capture has counted at a moment: a FileStart is what it had when a file began."""

    start: FileStart
    clock_state: str
    steps: Sequence[ClockStep]
    reasons: Any


class LinkedIncident:
    """An incident that is being linked. Raises SinkError if its first files cannot be."""

    def __init__(
        self,
        capture: Capture,
        recording: RecordingSpec,
        path: str,
        cause: Cause,
        files: Sequence[RingFile],
        before_short: str,
        refused: int,
    ) -> None:
        self._capture, self._recording, self.path = capture, recording, path
        self.span = IncidentSpan(cause, recording)
        self._first, self._before_short, self._refused = files[0].start, before_short, refused
        self._offset_ns, self._noticed_ns = capture.clock.offset_ns, time.monotonic_ns()
        self.end: FileStart | None = None
        """The file that began when the incident was over; it is not part of it."""
        self.end_reason: str | None = None
        self._links: list[tuple[str, FileStart]] = []
        self._complete_bytes, self._last_most = 0, files[-1].size
        self._written_ns, self._stale = 0, True
        try:
            for file in files:
                self._link(file.start)
            self.write_if_stale()
        except SinkError:
            for link, _ in self._links:
                with contextlib.suppress(OSError):
                    os.unlink(link)
            raise
        self._complete_bytes = sum(file.size for file in files[:-1])

    @property
    def plan(self) -> CapturePlan:
        """The plan of the capture."""
        return self._capture.plan

    def _link(self, start: FileStart) -> None:
        link = link_path(self.path, start.path)
        try:
            os.link(start.path, link, follow_symlinks=False)
        except OSError as error:
            raise cannot("link", link, error) from None
        self._links.append((link, start))
        self._stale = True

    def prolong(self, cause: Cause) -> bool:
        """Go on until `after` behind this cause; False if the incident is as long as it may be, or is over."""
        return self.end_reason is None and self.span.prolong(cause)

    def stop(self, reason: str) -> None:
        """Let the present file be the last one, for this reason."""
        self.end_reason = self.end_reason or reason

    def file_began(self, start: FileStart) -> None:
        """Link a file that begins, unless the incident is over with the one before it. Called in the loop."""
        if self.end is not None:
            return
        if start.ordered:
            self.end, self.end_reason = start, self.end_reason or "time after the trigger over"
            return
        with contextlib.suppress(OSError):
            self._complete_bytes += os.stat(self._links[-1][0]).st_size
        if self._complete_bytes + self._last_most > self._recording.size:
            self.end, self.end_reason = start, self.end_reason or "size reached"
            return
        try:
            self._link(start)
        except SinkError as error:
            self.end, self.end_reason = start, self.end_reason or str(error)

    def write_if_stale(self) -> None:
        """Write the JSON if files were added, at most once a second. Raises SinkError."""
        now_ns = time.monotonic_ns()
        if self._stale and now_ns - self._written_ns >= JSON_NS:
            self._written_ns, self._stale = now_ns, False
            self._write(self._as_json(self._now(now_ns), complete=False))

    def _now(self, now_ns: int) -> CaptureState:
        capture = self._capture
        start = FileStart(
            path="",
            began_ns=now_ns,
            offset_ns=capture.clock.offset_ns,
            accounts=capture.accounts(),
            events=capture.events(),
            late=capture.late(),
            ordered=False,
        )
        return self._state(start)

    def _state(self, start: FileStart) -> CaptureState:
        clock = self._capture.clock
        return CaptureState(start, clock.state, clock.steps, self._capture.reasons_as_json())

    def finish(self, last: CaptureState | None = None, complete: bool = True) -> dict[str, Any]:
        """Write the JSON, which is returned; `last` is the end of the capture, if that ends it. Raises SinkError."""
        if last is None:
            assert self.end is not None
            last = self._state(self.end)
        self.end_reason = self.end_reason or "stopped"
        summary = self._as_json(last, complete)
        self._write(summary)
        return summary

    def _write(self, summary: dict[str, Any]) -> None:
        owner = owner_of(self.plan.spec.storage.user)
        write_beside(summary_path(self.path), json.dumps(summary, indent=2) + "\n", owner)

    def _as_json(self, last: CaptureState, complete: bool) -> dict[str, Any]:
        first, end, offset_ns = self._first, last.start, self._offset_ns
        pairs = zip_longest(end.accounts, first.accounts, fillvalue=Account())
        # An incident that ends because of its time ends then, though the next file is begun a moment later.
        ended_ns = min(end.began_ns, max(self.span.until_ns, self._noticed_ns)) if complete else end.began_ns
        events, files = end.events - first.events, self._files()
        return IncidentRecord(
            path=self.path,
            size=sum(file["bytes"] for file in files),
            complete=complete,
            end_reason=self.end_reason,
            span=self.span,
            offset_ns=offset_ns,
            noticed_ns=self._noticed_ns,
            began_ns=first.began_ns,
            ended_ns=ended_ns,
            before_short=self._before_short,
            refused=self._refused,
            packet=self._packet(),
            packets=end.packets - first.packets - events,
            events=events,
            reasons=last.reasons,
            plan=self.plan,
            recording=self._recording,
            members=self._capture.roster.captured,
            accounts=[account - earlier for account, earlier in pairs],
            counted_since_ns=first.began_ns,
            clock_state=last.clock_state,
            steps=[step for step in last.steps if step.at_ns >= first.began_ns],
            late=end.late - first.late,
            files=files,
        ).as_json()

    def _files(self) -> list[dict[str, Any]]:
        found = []
        for link, start in self._links:
            with contextlib.suppress(OSError):
                size, began_ns = os.stat(link).st_size, start.began_ns + start.offset_ns
                found.append({"path": link, "bytes": size, "began_ns": began_ns})
        return found

    def _packet(self) -> int | None:
        """Return the number of the packet that fired, in all files of the incident; None if it is not in them."""
        cause = self.span.cause
        for _, start in self._links:
            if cause.file and os.path.abspath(start.path) == cause.file:
                return start.packets - self._first.packets + cause.number
        return None
