"""`bicap capture --diagnose`: a running capture -> a process that reads its files and shows sessions.

It is told four times a second how far the files are written, and never waited for before the end.
"""

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from capture.errors import SpecError
from capture.spec import CaptureSpec

if TYPE_CHECKING:
    from capture.run.capture import Capture
    from capture.run.summary import Summary

TELL_SECONDS = 0.25
END_SECONDS = 300.0
"""Longest wait for the answers about the last packets; Ctrl-C ends it."""


def check_followed(spec: CaptureSpec, output: str | None) -> None:
    """Raise SpecError if there is no file that could be read while it is written."""
    if output == "-":
        raise SpecError("--diagnose reads the file that is written, and -w - is a stream; name a file with -w")
    if spec.storage.compress:
        raise SpecError("--diagnose reads the file while it is written, which a compressed one is not made for")


class LiveAnswers:
    """The other process, from before the capture begins until it has answered about the last packet."""

    def __init__(self, user: str | None, every_ns: int | None, summary: str) -> None:
        from capture.live.reading_process import ReadingProcess

        self._stopped = False
        terminal = sys.stdin.isatty() and sys.stderr.isatty()
        words = [user or "", str(every_ns or 0), summary]
        self._reader = ReadingProcess("capture.cli.answer_process", words, terminal)

    def tell(self, running: "Capture") -> None:
        """Tell how far the files are, and end the capture if the user wants that."""
        if self._stopped:
            return
        try:
            self._reader.tell(running)
            for reason in self._reader.messages():
                running.stop(reason.decode())
        except OSError:
            self._stopped = True
            click.echo("bicap: the live answers ended; the capture goes on", err=True)

    def finish(self, summary: "Summary") -> None:
        """Tell that the capture is over, and wait for the answers about all of it."""
        from capture.live.reading_process import HELD
        from capture.live.written_files import packed

        if not self._stopped:
            events = 0 if summary.reasons is None else summary.reasons["events"]
            progress = self._reader.progress(summary.files, summary.total.both.written + events, over=True)
            self._reader.line.settimeout(END_SECONDS)
            for number in HELD:
                signal.signal(number, signal.default_int_handler)
            try:
                self._reader.line.send(packed(progress))
                self._reader.process.wait(END_SECONDS)
            except (OSError, KeyboardInterrupt, subprocess.TimeoutExpired):
                click.echo("bicap: the last packets were not waited for; see bicap diagnose", err=True)
                self._reader.process.kill()
            finally:
                for number in HELD:
                    signal.signal(number, signal.SIG_IGN)
        self.close()

    def close(self) -> None:
        """End the other process."""
        self._reader.close()
