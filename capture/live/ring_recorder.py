"""A plan with a recording and an output -> a capture into a ring of files, and an incident of links for each trigger.

    with RingRecorder(plan, "ring.pcapng", rules) as recorder:
        recorder.run()

The capture is that of `run`: rings, order, account and files as ever. Rules are evaluated by another process, which
reads the files behind it, so no rule delays a packet; what is left to the loop between two rounds is a look at what
has fired, and a link for each file of an incident.
"""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from capture.errors import SinkError, SpecError
from capture.live.cause import Cause, Reply
from capture.live.incident_folder import IncidentFolder
from capture.live.incident_record import completed_line
from capture.live.linked_incident import CaptureState, LinkedIncident
from capture.live.loss_rules import LossRules
from capture.live.ring_files import LeftFile, RingFile, files_since, left_files
from capture.live.ring_reach import RingReach
from capture.live.rule_firings import RuleFiring
from capture.live.rule_reader import RuleReader
from capture.live.trigger_desk import TriggerDesk
from capture.live.trigger_rules import TriggerRule
from capture.plan import CapturePlan
from capture.recording import RecordingSpec
from capture.run.account import Account
from capture.run.capture import Capture
from capture.run.file_start import FileStart
from capture.run.roster import Roster
from capture.run.summary import Summary
from capture.sink.open import open_sink
from capture.sink.output_file import remove
from capture.units import format_size

TICK_SECONDS = 0.05
"""Shortest time between two looks at what has fired; rounds of the loop are further apart while few packets come."""
SECOND_NS, TIDY_NS = 10**9, 10 * 10**9
"""Time between two looks at rate and disk, and between two looks at the bounds of the folder."""
PROBE = "link.probe"
"""Name of a link that is made in the folder of incidents at the start, and removed at once."""


class RingRecorder:
    """A recorder, running between `__enter__` and `__exit__`; the constructor opens nothing.

    `on_event`, `on_attached` and `on_incident` are as those of Recorder. `summary` is that of the capture, from
    `__exit__` on, also if the output could not be completed; `__exit__` raises that error.
    """

    def __init__(
        self,
        plan: CapturePlan,
        output: str,
        rules: Sequence[TriggerRule] = (),
        on_event: Callable[[str], None] = lambda _: None,
        on_attached: Callable[["RingRecorder"], None] = lambda _: None,
        on_incident: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        recording = plan.spec.recording
        if recording is None or recording.folder is None:
            raise SpecError("no folder for incidents given; name one with --incidents")
        self.plan, self._output, self._rules = plan, output, rules
        self._recording, self._folder_path = recording, recording.folder
        self._on_event, self._on_attached, self._on_incident = on_event, on_attached, on_incident
        self.incidents: list[str] = []
        """Paths of the incidents that were written."""
        self.summary: Summary | None = None
        self.reach: RingReach | None = None
        self._desk: TriggerDesk[LinkedIncident] = TriggerDesk(
            recording.cooldown_ns, self._begin, lambda: self._capture.wake(), on_event
        )
        self._files: deque[FileStart] = deque()
        """The files that the ring has, the oldest first."""
        self._left: deque[LeftFile] = deque()
        self._losses = LossRules(rules)
        self._second_ns = self._tidied_ns = 0
        self._tidying: threading.Thread | None = None
        self._reader: RuleReader | None = None
        self._running: Capture | None = None
        self._stopped: str | None = None

    @property
    def recording(self) -> RecordingSpec:
        """The recording of the plan."""
        return self._recording

    @property
    def _capture(self) -> Capture:
        if self._running is None:
            raise RuntimeError("the recorder is not running; call this inside its `with` block")
        return self._running

    @property
    def roster(self) -> Roster:
        """All interfaces of the capture."""
        return self._capture.roster

    def __enter__(self) -> "RingRecorder":
        spec = self.plan.spec
        sink = self._sink = open_sink(self._output, spec.storage)
        try:
            self._folder = IncidentFolder(self._folder_path, self._recording, spec.storage.user)
            first = sink.files[-1].path
            check_links(first, self._folder_path)
            self._left.extend(left_files(first))
            in_files = [rule for rule in self._rules if rule.lost is None]
            if in_files:
                self._reader = RuleReader(in_files, spec.storage.user, self._on_event)
        except BaseException:
            with contextlib.suppress(SinkError):
                sink.close()
            raise
        capture = self._running = Capture(
            self.plan,
            sink,
            self._on_event,
            on_attached=lambda _: self._on_attached(self),
            on_file=self._file_began,
        )
        if self._stopped is not None:
            capture.stop(self._stopped)
        try:
            capture.__enter__()
        except BaseException:
            self._close_reader()
            raise
        self._second_ns = time.monotonic_ns()
        self.reach = RingReach(spec.storage, self._second_ns, sink.bytes_written)
        return self

    def stop(self, reason: str) -> None:
        """End the recorder; signal handlers and other threads may call this."""
        self._stopped = self._stopped or reason
        if self._running is not None:
            self._running.stop(reason)

    def ring(self, cause: Cause) -> None:
        """Fire, without waiting for the answer; signal handlers may call this."""
        self._desk.ring(cause)

    def fire(self, cause: Cause) -> Reply:
        """Fire from another thread than that of `run`, and return the answer."""
        return self._desk.fire(cause)

    def accounts(self) -> list[Account]:
        """Return a snapshot of the accounts of all interfaces."""
        return self._capture.accounts()

    def run(self, on_tick: Callable[["RingRecorder"], None] = lambda _: None) -> None:
        """Record until the time of the spec is over, the output fails, all interfaces are deleted, or `stop` is
        called. `on_tick` is called each second."""
        self._capture.run(lambda _: self._tick(on_tick), TICK_SECONDS)

    def _tick(self, on_tick: Callable[["RingRecorder"], None]) -> None:
        """Look at everything but packets, between two rounds."""
        now = time.monotonic_ns()
        self._finish_if_over()
        if self._reader is not None:
            for firing in self._reader.tell(self._capture, self._files[-1]):
                self._desk.handle(_cause_of_firing(firing, self._capture.clock.offset_ns))
        for cause in self._losses.look(now, self.accounts):
            self._desk.handle(cause)
        self._desk.answer()
        incident = self._desk.incident
        if incident is not None and incident.end is None:
            try:
                incident.write_if_stale()
            except SinkError as error:
                incident.stop(str(error))
            # The order may be of a time that has passed: then the next file begins in the next round.
            self._capture.end_file_at(incident.span.until_ns if incident.end_reason is None else now)
        if now - self._second_ns >= SECOND_NS:
            self._second_ns = now
            self._each_second(now)
            on_tick(self)

    def _each_second(self, now: int) -> None:
        assert self.reach is not None
        self.reach.look(now, self._sink.bytes_written)
        incident = self._desk.incident
        shortage = self._shortage()
        if shortage is not None and incident is not None and incident.end is None:
            incident.stop(shortage)
        if now - self._tidied_ns >= TIDY_NS:
            self._tidy(None if incident is None else incident.path)

    def _shortage(self) -> str | None:
        """Return a reason to let go of files: the capture itself ends when one more file had no room."""
        min_free, room = self.plan.spec.storage.min_free, self.plan.spec.storage.file_bytes
        if min_free is None:
            return None
        assert room is not None
        disk = os.statvfs(self._folder_path)
        free = disk.f_bavail * disk.f_frsize
        if free >= min_free.of(disk.f_blocks * disk.f_frsize) + room:
            return None
        return (
            f"{format_size(free)} are free on its disk; {min_free} and a file of the ring must stay free (--min-free)"
        )

    def _tidy(self, keep: str | None = None) -> None:
        """Remove what is above the bounds of the folder, in a thread: a gigabyte takes a file system a while.

        `keep` is an incident that is being written.
        """
        if self._tidying is not None and self._tidying.is_alive():
            return
        self._tidied_ns = time.monotonic_ns()
        words = {"wall_ns": time.time_ns(), "keep": keep}
        self._tidying = threading.Thread(target=self._folder.make_room, kwargs=words, name="tidying")
        self._tidying.start()

    @property
    def missed(self) -> int:
        """Packets that the rules did not see."""
        return 0 if self._reader is None else self._reader.missed

    def _file_began(self, start: FileStart) -> None:
        """Note a file that begins, link it to the incident, and remove one of an earlier run. Called in the loop."""
        self._files.append(start)
        files, kept = len(self._capture.files), self.plan.spec.storage.files_kept
        assert kept is not None
        while len(self._files) > files:
            self._files.popleft()
        too_many = min(max(len(self._left) + files - kept, 0), len(self._left))
        if too_many:
            oldest = [self._left.popleft() for _ in range(too_many)]
            threading.Thread(target=_remove_all, args=(oldest,), name="removal").start()
        if self._desk.incident is not None:
            self._desk.incident.file_began(start)

    def _begin(self, cause: Cause) -> LinkedIncident:
        shortage = self._shortage()
        if shortage is not None:
            raise SinkError(shortage)
        recording, most = self._recording, self.plan.spec.storage.file_bytes
        assert most is not None
        from_ns = cause.at_ns - recording.before_ns
        sizes = [file.bytes for file in self._capture.files]
        files = [RingFile(start, size) for start, size in zip(self._files, [*sizes[:-1], most], strict=True)]
        chosen = files_since(files, from_ns, recording.size)
        path = self._folder.new_path(cause.rule, cause.at_ns + self._capture.clock.offset_ns)
        incident = LinkedIncident(
            self._capture, recording, path, cause, chosen, self._why_short(chosen, from_ns), self._desk.refused
        )
        self._capture.end_file_at(incident.span.until_ns)
        self._tidy(path)
        return incident

    def _why_short(self, chosen: Sequence[RingFile], from_ns: int) -> str:
        if chosen[0].start.began_ns <= from_ns:
            return ""
        if chosen[0].start is not self._files[0]:
            return "--incidents-size was full"
        return "the ring was full" if self._sink.files_removed else "the recorder had just begun"

    def _finish_if_over(self) -> None:
        if self._desk.incident is not None and self._desk.incident.end is not None:
            self._capture.end_file_at(None)  # it may have ended for another reason than its time
            self._finish_incident(None)

    def _finish_incident(self, last: CaptureState | None, complete: bool = True) -> None:
        incident = self._desk.over()
        try:
            found = incident.finish(last, complete)
        except SinkError as error:
            self._on_event(f"{incident.path} is not complete: {error}")
            return
        self.incidents.append(incident.path)
        self._on_event(completed_line(found))
        self._tidy()
        self._on_incident(found)

    @property
    def end_reason(self) -> str:
        """Why the recorder ended."""
        return "stopped" if self.summary is None else self.summary.end_reason

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._capture.__exit__(kind, error, trace)
        finally:
            self._close_reader()
            self._desk.close()
            self.summary = self._capture.summary
            if self.summary is not None and self._desk.incident is not None:
                self._conclude(self._desk.incident, self.summary)
            if self._tidying is not None:
                self._tidying.join()

    def _conclude(self, incident: LinkedIncident, summary: Summary) -> None:
        """Complete the incident that the end of the capture ends."""
        start = incident.end
        if start is None:
            incident.stop(summary.end_reason)
            start = FileStart(
                path="",
                began_ns=summary.ended_ns - summary.clock_offset_ns,
                offset_ns=summary.clock_offset_ns,
                accounts=list(summary.accounts),
                events=0 if summary.reasons is None else summary.reasons["events"],
                late=summary.late,
                ordered=False,
            )
        state = CaptureState(start, summary.clock, summary.clock_steps, summary.reasons)
        self._finish_incident(state, summary.complete)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()


def _remove_all(files: Sequence[LeftFile]) -> None:
    for file in files:
        remove(file.path, file.identity)


def check_links(file: str, folder: str) -> None:
    """Raise SinkError if files of a ring cannot be linked into a folder."""
    probe = os.path.join(folder, PROBE)
    with contextlib.suppress(OSError):
        os.unlink(probe)
    try:
        os.link(file, probe, follow_symlinks=False)
        os.unlink(probe)
    except OSError as error:
        raise SinkError(
            f"files of {os.path.dirname(os.path.abspath(file))} cannot be linked into {folder}: {error.strerror}; an "
            "incident is hard links to files of the ring, so give --incidents on the file system of -w"
        ) from None


def _cause_of_firing(firing: RuleFiring, offset_ns: int) -> Cause:
    return Cause(
        rule=firing.rule,
        at_ns=firing.at_ns - offset_ns,
        reason=firing.reason,
        value=firing.value,
        session=firing.session,
        packet_ns=None if firing.packet_ns is None else firing.packet_ns - offset_ns,
        file=firing.file,
        number=firing.number,
    )
