"""`python -m capture.cli.answer_process FD USER INTERVAL_NS SUMMARY`: shows what the files of a running capture have.

It has no privileges but to read files of another user where the capture writes such, gives way to all other
processes, and shows live sessions and findings on stderr: in their place in a terminal, else as plain lines. At the
end it says what `bicap diagnose` says. USER and INTERVAL_NS may be empty and 0.
"""

import os
import select
import socket
import sys
import time

from capture.analysis.diagnose.findings import Diagnosis
from capture.analysis.diagnose.troubles import TROUBLES
from capture.analysis.latency.waits import Latency
from capture.analysis.packets.completeness import Completeness, from_summary_file
from capture.arrays.aliases import Table
from capture.cli.top_screen import TopScreen
from capture.errors import FormatError
from capture.kernel.privileges import drop
from capture.live.growing_capture import GrowingCapture
from capture.live.live_sessions import LiveSessions
from capture.live.written_files import MESSAGE_MOST, written_files_of
from capture.units import format_count
from capture.views.diagnosis_report import diagnosis_lines
from capture.wire.addresses import Names

NICENESS = 5
OPEN_SESSIONS_MOST = 1 << 16
"""Sessions that are followed at a time: 256 MB if all of them carry data."""
ROWS, ROWS_IN_PLAIN_LINES = 20, 5
PICTURE_NS, PICTURE_IN_PLAIN_LINES_NS = 10**9, 10 * 10**9
FINDINGS = 10
KEY_SECONDS = 0.1


class AnswerProcess:
    """Reads what the capture has written, and shows it now and then."""

    def __init__(self, line: socket.socket, every_ns: int) -> None:
        self._line = line
        self._diagnosis, self._waits = Diagnosis(TROUBLES), Latency()
        self._sessions = LiveSessions(self._add, OPEN_SESSIONS_MOST)
        self._capture = GrowingCapture(self._wait)
        self._screen = TopScreen(sys.stderr, "byte_rate", self._ask_to_stop, as_json=False)
        usual = PICTURE_NS if self._screen.in_place else PICTURE_IN_PLAIN_LINES_NS
        self._every_ns = every_ns or usual
        self._rows = ROWS if self._screen.in_place else ROWS_IN_PLAIN_LINES
        self._screen.due(time.monotonic_ns(), self._every_ns)
        self._newest_ns, self._read_ns = time.time_ns(), time.monotonic_ns()
        """Time of the youngest packet that was read, and when it was read: sessions are shown for a while then."""

    def run(self, summary: str) -> None:
        """Show until the capture is over."""
        with self._screen:
            try:
                for batch in self._capture.batches():
                    self._sessions.feed(batch)
                    self._newest_ns, self._read_ns = int(batch.packets["time_ns"][-1]), time.monotonic_ns()
                    self._show()
            except FormatError as error:
                print(f"bicap: the live answers end: {error}", file=sys.stderr)
                return
        self._sessions.finish()
        known = from_summary_file(summary) or Completeness()
        findings = self._diagnosis.findings(known, self._names)
        report = diagnosis_lines(findings, FINDINGS, self._diagnosis, self._waits, known, several=False, places={})
        if self._capture.missed:
            missed = format_count(self._capture.missed, "packet")
            report.append(f"{missed} could not be followed; bicap diagnose reads all of the file")
        print("\n".join(report), file=sys.stderr)

    def _add(self, sessions: Table, samples: Table) -> None:
        several = self._capture.description is not None and len(self._capture.description.interfaces) > 1
        self._diagnosis.add("", sessions, several)
        self._waits.add(sessions, samples)

    @property
    def _names(self) -> Names:
        return {} if self._capture.description is None else self._capture.description.names

    def _wait(self) -> None:
        """Wait for a message, and show what there is meanwhile. Ends the process if the capture is gone."""
        self._show()
        seconds = KEY_SECONDS if self._screen.in_place else PICTURE_NS / 1e9
        if not select.select([self._line], [], [], seconds)[0]:
            return
        message = self._line.recv(MESSAGE_MOST)
        if not message:
            raise SystemExit(0)
        progress = written_files_of(message)
        self._capture.wrote(progress.files, progress.packets, progress.over)

    def _show(self) -> None:
        now_ns = time.monotonic_ns()
        if not self._screen.due(now_ns, self._every_ns):
            return
        screen = self._screen
        order, conditions = screen.controls.order, screen.conditions
        view = self._sessions.view(
            self._newest_ns + now_ns - self._read_ns, order, self._rows, conditions, self._diagnosis
        )
        screen.show(view, (), self._capture.missed, self._names)

    def _ask_to_stop(self, reason: str) -> None:
        self._line.send(reason.encode())


def main() -> None:
    """Run the process."""
    descriptor, user, every_ns, summary = sys.argv[1:]
    drop(frozenset({"CAP_DAC_READ_SEARCH"}) if user else frozenset())
    os.nice(NICENESS)
    line = socket.socket(fileno=int(descriptor))
    AnswerProcess(line, int(every_ns)).run(summary)


if __name__ == "__main__":
    main()
