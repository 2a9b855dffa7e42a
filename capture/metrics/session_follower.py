"""A running capture -> the numbers of its sessions, which a process of its own counts in the capture's files."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence

import msgspec

from capture.metrics.session_numbers import SessionNumbers


class SessionFollower:
    """The process, from its start on. Privileges must be dropped before: a process has those of who starts it."""

    def __init__(self) -> None:
        self._named: frozenset[str] = frozenset()
        self._unsent = b""
        self.numbers: SessionNumbers | None = None
        """The latest numbers; None before the first, and when the process has ended."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "capture.metrics.file_follower"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the capture, which ends this process
        )
        assert self._process.stdin is not None
        self._paths_fd = self._process.stdin.fileno()
        os.set_blocking(self._paths_fd, False)
        threading.Thread(target=self._read, name="session numbers", daemon=True).start()

    def follow(self, paths: Sequence[str]) -> None:
        """Follow the files that a capture has now, in order, behind those of before. Never waits for the process."""
        new = [path for path in paths if path not in self._named]
        self._named = frozenset(paths)  # a file that was removed does not come back
        self._unsent += b"".join(json.dumps(path).encode() + b"\n" for path in new)
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # it is busy; or it has ended, without numbers
            while self._unsent:
                self._unsent = self._unsent[os.write(self._paths_fd, self._unsent) :]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.numbers = msgspec.json.decode(line, type=SessionNumbers)
        self.numbers = None
