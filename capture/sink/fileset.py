"""A path and times -> names of files that Wireshark shows as one set, and a ring of those that are kept.

The names are dumpcap's: `out.pcapng` becomes `out_00001_20261124230551.pcapng`, with local time. Five digits are
what Wireshark looks for, so after 99999 comes 00000, and the time tells them apart. A compressed file keeps the
name that was asked for: `.pcapng` is a set for every Wireshark, `.pcapng.zst` since 4.4; its content is recognised
by itself.
"""

import os
import threading
import time
from collections import deque

from capture.sink.output_file import remove
from capture.sink.protocol import FileRecord

_NUMBERS = 100_000
_COMPRESSED = (".zst", ".zstd")


def numbered(path: str, number: int, wall_ns: int) -> str:
    """The name of the file of that number, which begins at that time."""
    stem, suffix = os.path.splitext(path)
    if suffix in _COMPRESSED:
        stem, inner = os.path.splitext(stem)
        suffix = inner + suffix
    began = time.strftime("%Y%m%d%H%M%S", time.localtime(wall_ns // 10**9))
    return f"{stem}_{number % _NUMBERS:05d}_{began}{suffix}"


class Ring:
    """The complete files of a capture, of which the oldest goes when there are more than may be kept."""

    def __init__(self, kept: int | None) -> None:
        self._kept = kept
        self._files: deque[tuple[FileRecord, tuple[int, int]]] = deque()
        self._removals: list[threading.Thread] = []
        self.removed = 0

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """Those that are left, the oldest first."""
        return tuple(record for record, _ in self._files)

    def completed(self, record: FileRecord, identity: tuple[int, int]) -> None:
        """Another is complete, and one more has begun: the oldest of ours goes, whatever else has its name stays."""
        self._files.append((record, identity))
        while self._kept is not None and len(self._files) >= self._kept:
            oldest, whose = self._files.popleft()
            # Aside: a gigabyte takes a file system a tenth of a second, and packets do not wait.
            removal = threading.Thread(target=remove, args=(oldest.path, whose), name="removal")
            removal.start()
            self._removals = [*(other for other in self._removals if other.is_alive()), removal]
            self.removed += 1

    def close(self) -> None:
        """Wait until those that had to go are gone."""
        for removal in self._removals:
            removal.join()
