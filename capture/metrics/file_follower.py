"""Paths of a capture's files on standard input -> numbers of its sessions on standard output, while they grow.

A process of its own (`python -m capture.metrics.file_follower`), so that no packet waits for it: it reads the files,
which are in the page cache, at a low priority. A line of input is a path as JSON, and a line of output is a
SessionNumbers. A file is complete when there is another path; the process ends at the end of its input.
"""

import contextlib
import json
import os
import select
import sys
import time
from collections import deque

import msgspec

from capture.analysis.packets.gathered import Gathered, Numbering
from capture.analysis.packets.reading import CaptureFile
from capture.errors import FormatError, TargetError
from capture.kernel.privileges import drop
from capture.metrics.session_numbers import SessionCounts

LOOK_SECONDS = 1.0
"""Time between two lines of output."""
_WAIT_SECONDS = 0.1
"""Time to wait at the end of a file, until it is read on."""
_HEADER_BYTES = 4
"""Bytes that tell what a file is."""
_NICENESS = 10
"""Added to that of the capture, which comes first."""


class FileFollower:
    """The files that were named so far, and the counts of what was read from them."""

    def __init__(self, paths_fd: int, numbers_fd: int, look_seconds: float = LOOK_SECONDS) -> None:
        self._paths_fd, self._numbers_fd, self._look_seconds = paths_fd, numbers_fd, look_seconds
        self._paths: deque[str] = deque()
        self._rest = b""
        self._over = self._complete = False
        self._look_at = 0.0
        self._described = Gathered()
        self._counts = SessionCounts(self._described.interfaces)

    def run(self) -> None:
        """Follow files until no more can be named."""
        while not self._over:
            if not self._paths:
                self._wait(self._look_seconds)
                self._look()
                continue
            self._complete = False
            try:
                self._follow(self._paths.popleft())
            except (FormatError, TargetError):  # removed before it was opened, or damaged
                self._counts.unread_files += 1

    def _follow(self, path: str) -> None:
        while not (os.path.exists(path) and os.path.getsize(path) >= _HEADER_BYTES):
            if not self._more():
                raise TargetError(f"{path} was removed")
        with CaptureFile(path, more=self._more) as file:
            numbering = Numbering(self._described, file.description)
            for batch in file:
                numbering.replace(batch.packets)
                self._counts.feed(batch)
                self._look()

    def _more(self) -> bool:
        """Wait at the end of a file; False if it was read to its end after it was complete."""
        if self._complete or self._over:
            return False
        self._look()
        self._wait(_WAIT_SECONDS)
        self._complete = bool(self._paths)
        return True

    def _wait(self, seconds: float) -> None:
        """Read paths that are named within a time; at the end of the input there are none any more."""
        if self._paths or not select.select([self._paths_fd], [], [], seconds)[0]:
            return
        data = os.read(self._paths_fd, 1 << 16)
        self._over = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._paths.extend(json.loads(line) for line in lines)

    def _look(self) -> None:
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self._look_seconds
        self._counts.look(time.time_ns())
        line = memoryview(msgspec.json.encode(self._counts.numbers()) + b"\n")
        while line:
            line = line[os.write(self._numbers_fd, line) :]


def main() -> None:
    """Follow the files that standard input names."""
    os.nice(_NICENESS)
    # The user of the capture may have given its files to another; nothing else needs a privilege.
    drop(frozenset({"CAP_DAC_READ_SEARCH"}))
    with contextlib.suppress(BrokenPipeError):  # the capture has ended
        FileFollower(sys.stdin.fileno(), sys.stdout.fileno()).run()


if __name__ == "__main__":
    main()
