"""Words of a command line -> a capture that is being read: its sessions, packets and findings so far.

A thread reads; the page asks meanwhile. Every session has a row at its number from its first packet on: rows of open
sessions are written again from time to time, and for the last time when they end. Of each packet only its session,
time, size and side are kept, 16 bytes: enough to draw a session's shape, and to find its packets in the file again.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from capture.analysis.application.session_fields import Applications
from capture.analysis.diagnose.findings import Diagnosis
from capture.analysis.diagnose.trouble import Finding
from capture.analysis.diagnose.troubles import TROUBLES
from capture.analysis.latency.waits import Latency
from capture.analysis.packets.again import Places
from capture.analysis.packets.capture_parts import captures_of, completeness_of_all, files_of
from capture.analysis.packets.completeness import Completeness
from capture.analysis.packets.merged import open_captures
from capture.analysis.packets.reading import Batch, CaptureFile
from capture.analysis.packets.several import CaptureSource
from capture.analysis.sessions.notes import notes_of
from capture.analysis.sessions.session_table import SESSION
from capture.analysis.sessions.tracker import Tracker
from capture.arrays.aliases import Longs, Table
from capture.arrays.row_types import I64, U32, Record, dtype_of
from capture.errors import BicapError, FormatError, SpecError, TargetError
from capture.pcapng.describe import Description
from capture.web.growing import GrowingTable
from capture.web.live import Spooled, is_written

_FIRST_LOOK_S, _LOOKS_SHARE = 0.15, 12
_LIVE_S = 0.2
"""Time between two looks at a file that grows."""
"""Time until rows of open sessions are first shown, and the part of the time that showing them may take."""
SERVER_SIDE = 1 << 31


class SeenPacket(Record):
    """What is kept of a packet of the file, at its number - 1."""

    time_ns: I64
    session: U32
    size: U32  # bytes on the wire; SERVER_SIDE: the server sent it


SEEN_PACKET = dtype_of(SeenPacket)


class Opened:
    """A capture that is read by a thread of its own. Fields only grow until `done`."""

    def __init__(self, words: Sequence[str], across_interfaces: bool = False, inner: bool = False) -> None:
        self.words, self.across_interfaces, self.inner = tuple(words), across_interfaces, inner
        self._stop = self._was_over = False
        self._spooled = Spooled() if self.words == ("-",) else None
        self.files = [self._spooled.name] if self._spooled else files_of(words)
        self.words = tuple(self.files) if self._spooled else self.words
        if "-" in self.words:
            raise SpecError("standard input cannot be shown beside other files; give - alone")
        self.live = self._spooled is not None or (len(self.files) == 1 and is_written(self.files[0]))
        """More may come: another process writes the file, or standard input has not ended."""
        self.captures = captures_of(self.files)
        named = ["standard input"] if self._spooled else [os.path.basename(file) for file in self.files]
        self.name = ", ".join(dict.fromkeys(named))
        self.completeness: Completeness = completeness_of_all(self.words)
        self._look: Callable[[], None] = lambda: None
        if self.live:
            self._wait_for_a_header()
            self.capture: CaptureSource = CaptureFile(self.files[0], inner, more=self._more)
        else:
            self.capture = open_captures(self.words, inner)
        self.sessions = GrowingTable(SESSION)
        self.ended = np.zeros(0, np.bool_)
        self.packets = GrowingTable(SEEN_PACKET)
        self.places = Places()
        self.findings: list[Finding] = []
        self.waits = ""
        self.notes: list[str] = []
        self.damage = ""
        self.bytes = 0
        self.first_ns = self.last_ns = 0
        self.took_s = 0.0
        self.done = threading.Event()
        self.version = 0
        """Grows whenever something else can be shown."""
        self.changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._diagnosis, self._latency = Diagnosis(TROUBLES), Latency()

    @property
    def description(self) -> Description:
        """Interfaces and names that were read so far."""
        return self.capture.description

    @property
    def count(self) -> int:
        """Number of sessions that have a row."""
        return len(self.sessions)

    def start(self, then: Callable[["Opened"], None] = lambda _: None) -> None:
        """Begin to read; `then` is called when everything was read."""

        def read() -> None:
            self.read()
            if not self._stop:
                then(self)

        self._thread = threading.Thread(target=read, name="reader", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Say that everything is there."""
        self.done.set()
        self._announce()

    def close(self) -> None:
        """Read no further, and give back what is kept."""
        self._stop = True
        if self._thread is not None:
            self._thread.join(2)
        if self._thread is None or not self._thread.is_alive():
            self.close_capture()
        self.sessions.close()
        self.packets.close()
        if self._spooled is not None:
            self._spooled.close()

    def close_capture(self) -> None:
        """Close the file that was opened to be read; what was read from it stays."""
        self.capture.__exit__(None, None, None)

    def read(self) -> None:
        """Read everything. An error in a file is kept as `damage`."""
        begun = time.monotonic()
        tracker = Tracker(by_interface=not self.across_interfaces)
        try:
            self._read(tracker, begun)
        except BicapError as error:
            self.damage = str(error)
        except OSError as error:
            self.damage = str(TargetError(f"{self.name} cannot be read: {error.strerror}"))
        self.took_s = time.monotonic() - begun
        self._diagnose()
        if self._spooled is None:
            self.completeness = completeness_of_all(self.words)
        self.done.set()
        self._announce()

    def _wait_for_a_header(self) -> None:
        """Wait until the first bytes are there, which tell what the file is."""
        while not os.path.getsize(self.files[0]) >= 4 and self._more():
            pass

    def _more(self) -> bool:
        """Wait a little at the end of a live file; return False when nobody writes it any more."""
        if self._stop:
            return False
        over = self._spooled.over.is_set() if self._spooled else not is_written(self.files[0])
        if over and self._was_over:
            self.live = False
            return False
        self._was_over = over  # what was written before that is read once more
        if not over:
            self._look()
            time.sleep(_LIVE_S)
        return True

    def _read(self, tracker: Tracker, begun: float) -> None:
        applications = Applications()
        look_at, spent, shown = begun + _FIRST_LOOK_S, 0.0, 0

        def look() -> None:
            nonlocal shown
            if len(self.packets) > shown:
                shown = len(self.packets)
                self._show_open(tracker)

        self._look = look
        several = len(self.captures) > 1
        with self.capture as capture:
            try:
                for batch in capture:
                    if self._stop:
                        return
                    ended = list(tracker.feed(batch.data, batch.packets))
                    applications.add(batch)
                    self._add_packets(batch)
                    for sessions, samples in ended:
                        applications.fill(sessions)
                        self._add_ended(sessions, samples, several)
                    now = time.monotonic()
                    if now > look_at:
                        self._show_open(tracker)
                        spent = time.monotonic() - now
                        look_at = time.monotonic() + max(spent * _LOOKS_SHARE, 0.1)
            except FormatError as error:
                self.damage = str(error)
            for sessions, samples in tracker.finish():
                applications.fill(sessions)
                self._add_ended(sessions, samples, several)
            self.notes = notes_of(capture.name, tracker)

    def _add_packets(self, batch: Batch) -> None:
        packets = batch.packets
        if not self.first_ns:
            self.first_ns = int(packets["time_ns"][0])
        self.last_ns = max(self.last_ns, int(packets["time_ns"][-1]))
        self.bytes += int(packets["original"].sum(dtype=np.int64))
        rows = np.empty(len(packets), SEEN_PACKET)
        rows["time_ns"], rows["session"] = packets["time_ns"], packets["session"]
        rows["size"] = np.minimum(packets["original"], SERVER_SIDE - 1) | (packets["side"].astype(np.uint32) << 31)
        self.packets.append(rows)
        self.places.add(batch)

    def _add_ended(self, sessions: Table, samples: Table, several: bool) -> None:
        if len(sessions):
            self._put(sessions, True)
            self._diagnosis.add(self.capture.name, sessions, several or len(self.description.interfaces) > 1)
        self._latency.add(sessions, samples)

    def _show_open(self, tracker: Tracker) -> None:
        rows = tracker.open_sessions()
        if len(rows):
            self._put(rows, False)
        self._diagnose()
        self._announce()

    def _put(self, sessions: Table, ended: bool) -> None:
        at = sessions["session"] - 1
        highest = int(at.max()) + 1
        if highest > len(self.ended):
            grown = np.zeros(max(highest, 2 * len(self.ended)), np.bool_)
            grown[: len(self.ended)] = self.ended
            self.ended = grown
        self.sessions.put(at, sessions)
        self.ended[at] = ended

    def _diagnose(self) -> None:
        self.findings = self._diagnosis.findings(self.completeness, self.description.names)
        self.waits = self._latency.sentence

    def _announce(self) -> None:
        with self.changed:
            self.version += 1
            self.changed.notify_all()

    def numbers_of(self, session: int) -> Longs:
        """Return the sorted numbers of a session's packets that have been read so far."""
        row = self.sessions.rows[session - 1]
        low, high = int(row["first_packet"]) - 1, int(row["last_packet"])
        if not self.done.is_set():
            high = len(self.packets)
        mine = self.packets.rows["session"][max(low, 0) : high] == session
        numbers = np.flatnonzero(mine) + max(low, 0) + 1
        icmp = int(row["icmp_packet"])  # a packet of another session, about this one
        return np.union1d(numbers, [icmp]) if icmp and icmp <= len(self.packets) else numbers

    def status(self) -> dict[str, Any]:
        """Return what the bar and the progress line say."""
        capture = self.capture
        return {
            "version": self.version,
            "name": self.name,
            "files": [os.path.basename(file) for file in self.files],
            "done": self.done.is_set(),
            "live": self.live,
            "size": None if self.live else capture.size,
            "position": capture.size if self.done.is_set() else self._position(),
            "packets": len(self.packets),
            "sessions": self.count,
            "bytes": self.bytes,
            "start_ns": str(self.first_ns),
            "span_ns": self.last_ns - self.first_ns,
            "took_s": round(self.took_s, 3),
            "damage": self.damage,
            "notes": self.notes,
            "completeness": {**asdict(self.completeness), "text": str(self.completeness)},
            "points": [interface.name or str(n) for n, interface in enumerate(self.description.interfaces[:64])],
            "interfaces": len(self.description.interfaces),
        }

    def _position(self) -> int:
        try:
            return self.capture.position
        except ValueError:  # the file was closed meanwhile
            return self.capture.size or 0
