"""`bicap capture --diagnose`: a running capture -> messages to a process that reads its files and shows sessions.

The capture sends how far its files are written, four times a second, to a socket that it never waits for. A message
that finds no room is left out: the next one says the same and more. So whatever the other process does, it costs the
capture these messages, and the packets are read from the page cache.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from capture.errors import SpecError
from capture.live.written_files import FILES_MOST, MESSAGE_MOST, WrittenFiles, packed
from capture.spec import CaptureSpec

if TYPE_CHECKING:
    from capture.run.capture import Capture
    from capture.run.summary import Summary
    from capture.sink.protocol import FileRecord

TELL_SECONDS = 0.25
END_SECONDS = 300.0
"""Longest wait for the answers about the last packets; Ctrl-C ends it."""
_HELD = {signal.SIGINT, signal.SIGTERM}
"""Signals that end the capture, and by that the other process, which reads what is left."""


def check_followed(spec: CaptureSpec, output: str | None) -> None:
    """Raise SpecError if there is no file that could be read while it is written."""
    if output == "-":
        raise SpecError("--diagnose reads the file that is written, and -w - is a stream; name a file with -w")
    if spec.storage.compress:
        raise SpecError("--diagnose reads the file while it is written, which a compressed one is not made for")


class LiveAnswers:
    """The other process, from before the capture begins until it has answered about the last packet."""

    def __init__(self, user: str | None, every_ns: int | None, summary: str) -> None:
        self._stopped = False
        self._told = ""
        """Path of the youngest file that the other process knows."""
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        terminal = sys.stdin.isatty() and sys.stderr.isatty()
        words = [str(theirs.fileno()), user or "", str(every_ns or 0), summary]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)  # it starts with these blocked
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "capture.cli.answer_process", *words],
                    pass_fds=(theirs.fileno(),),
                    stdin=None if terminal else subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._line.setblocking(False)

    def tell(self, running: "Capture") -> None:
        """Tell how far the files are, and end the capture if the user wants that."""
        if self._stopped:
            return
        try:
            with suppress(BlockingIOError):
                self._line.send(packed(self._progress(running.files, running.written(), over=False)))
                self._told = running.files[-1].path if running.files else self._told
            with suppress(BlockingIOError):
                reason = self._line.recv(MESSAGE_MOST).decode()
                if reason:
                    running.stop(reason)
                else:
                    self._gone()
        except OSError:
            self._gone()

    def _gone(self) -> None:
        self._stopped = True
        click.echo("bicap: the live answers ended; the capture goes on", err=True)

    def _progress(self, files: "Sequence[FileRecord]", packets: int, over: bool) -> WrittenFiles:
        """Return how far files are, from the last one that was told on: those before it are complete, and known."""
        paths = [file.path for file in files]
        since = paths.index(self._told) if self._told in paths else 0
        news = [(os.path.abspath(file.path), file.bytes) for file in files[since:][-FILES_MOST:]]
        return WrittenFiles(news, packets, over)

    def finish(self, summary: "Summary") -> None:
        """Tell that the capture is over, and wait for the answers about all of it."""
        if not self._stopped:
            events = 0 if summary.reasons is None else summary.reasons["events"]
            progress = self._progress(summary.files, summary.total.both.written + events, over=True)
            self._line.settimeout(END_SECONDS)
            for number in _HELD:
                signal.signal(number, signal.default_int_handler)
            try:
                self._line.send(packed(progress))
                self._process.wait(END_SECONDS)
            except (OSError, KeyboardInterrupt, subprocess.TimeoutExpired):
                click.echo("bicap: the last packets were not waited for; see bicap diagnose", err=True)
                self._process.kill()
            finally:
                for number in _HELD:
                    signal.signal(number, signal.SIG_IGN)
        self.close()

    def close(self) -> None:
        """End the other process."""
        self._line.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
