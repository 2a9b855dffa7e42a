"""A path and times -> names of files that Wireshark shows as one set, and the ring of files that are kept.

The names are like dumpcap's: `out.pcapng` becomes `out_00001_20261124230551.pcapng`, with local time. Wireshark
expects five digits, so 99999 is followed by 00000, and the time distinguishes the files. A compressed file keeps the
extension of the requested name: every Wireshark recognises a set of `.pcapng` files, and since 4.4 one of
`.pcapng.zst`; it recognises compression by the content.
"""

import os
import threading
import time
from collections import deque
from itertools import count

from capture.sink.output_file import remove
from capture.sink.protocol import FileRecord

_NUMBERS = 100_000
_COMPRESSED = (".zst", ".zstd")


def numbered(path: str, number: int, wall_ns: int) -> str:
    """Return the name of file `number`, which begins at wall-clock `wall_ns`."""
    stem, suffix = _split(path)
    return f"{stem}_{number % _NUMBERS:05d}_{_local(wall_ns)}{suffix}"


def own_name(path: str, wall_ns: int) -> str:
    """Return a name like `path` that no output has had, for one that begins at wall-clock `wall_ns`."""
    stem, suffix = _split(path)
    candidates = (f"{stem}_{_local(wall_ns)}{f'-{number}' if number > 1 else ''}" for number in count(1))
    return next(found + suffix for found in candidates if not _is_taken(found, suffix))


def _is_taken(stem: str, suffix: str) -> bool:
    """True if a file, a numbered one, or the summary of an output of this name exists."""
    folder, name = os.path.split(stem)
    try:
        names = os.listdir(folder or ".")
    except OSError:  # the output will say why
        return False
    return any(found.startswith((f"{name}{suffix}", f"{name}_")) for found in names)


def _split(path: str) -> tuple[str, str]:
    stem, suffix = os.path.splitext(path)
    if suffix in _COMPRESSED:
        stem, inner = os.path.splitext(stem)
        suffix = inner + suffix
    return stem, suffix


def _local(wall_ns: int) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.localtime(wall_ns // 10**9))


class Ring:
    """The complete files of a capture; the oldest is removed when there are more than may be kept."""

    def __init__(self, kept: int | None) -> None:
        self._kept = kept
        self._files: deque[tuple[FileRecord, tuple[int, int]]] = deque()
        self._removals: list[threading.Thread] = []
        self.removed = 0

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """The files that are left, the oldest first."""
        return tuple(record for record, _ in self._files)

    def completed(self, record: FileRecord, identity: tuple[int, int]) -> None:
        """Add a complete file, after which another has begun; remove the oldest of ours if there are too many.

        A foreign file that has the name of one of ours is not removed.
        """
        self._files.append((record, identity))
        while self._kept is not None and len(self._files) >= self._kept:
            oldest, its_identity = self._files.popleft()
            # In a thread: removing a gigabyte takes a file system a tenth of a second, and packets do not wait.
            removal = threading.Thread(target=remove, args=(oldest.path, its_identity), name="removal")
            removal.start()
            self._removals = [*(other for other in self._removals if other.is_alive()), removal]
            self.removed += 1

    def close(self) -> None:
        """Wait until all removals are done."""
        for removal in self._removals:
            removal.join()
