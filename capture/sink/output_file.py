"""Bytes -> one file that is whole after every write: what a full disk cuts off is taken back.

It has its final name from the start. A temporary name until the end would only hide a file that is good already,
and a capture that is killed would leave its packets under a name that nobody looks for. An earlier file under the
name goes with the first write: a capture that fails to start takes nothing away and leaves nothing.
"""

import contextlib
import os

from capture.errors import SinkError
from capture.sink.place import Owner, cannot, create, create_over


class OutputFile:
    """A file that is being written; `size` is what it has."""

    def __init__(self, path: str, owner: Owner | None) -> None:
        self.path, self.size = path, 0
        self._owner = owner
        try:
            self.descriptor, self._ours = _open(path, owner)
        except OSError as error:
            raise cannot("write", path, error) from None

    def append(self, *parts: memoryview | bytes) -> None:
        """Write all of them, one after the other, or raise SinkError with nothing of them written."""
        if not self._ours:
            self._replace_earlier()
        self.check()
        written, left = 0, [memoryview(part) for part in parts if part]
        try:
            while left:
                took = _write(self.descriptor, left, self.size + written)
                written += took
                while left and took >= len(left[0]):
                    took -= len(left.pop(0))
                if left:
                    left[0] = left[0][took:]
        except OSError as error:
            with contextlib.suppress(OSError):  # a disk that has become read-only does not even take this
                os.ftruncate(self.descriptor, self.size)
            raise cannot("write", self.path, error) from None
        self.size += written

    def _replace_earlier(self) -> None:
        try:
            descriptor = create_over(self.path, self._owner)
        except OSError as error:
            raise cannot("replace", self.path, error) from None
        os.close(self.descriptor)
        self.descriptor, self._ours = descriptor, True

    def check(self) -> None:
        """Raises SinkError if somebody removed the file, or the directory with it."""
        if os.fstat(self.descriptor).st_nlink == 0:
            raise SinkError(f"{self.path} was removed while it was written; what it held is lost")

    @property
    def identity(self) -> tuple[int, int]:
        """Which file this is, whatever happens to its name."""
        found = os.fstat(self.descriptor)
        return found.st_dev, found.st_ino

    def discard(self) -> None:
        """Close it, and leave nothing."""
        if self._ours:
            remove(self.path, self.identity)
        os.close(self.descriptor)

    def close(self) -> None:
        """Close it; a file without a byte goes."""
        if self.size == 0:
            self.discard()
        else:
            os.close(self.descriptor)


def _write(descriptor: int, parts: list[memoryview], offset: int) -> int:
    if len(parts) == 1:  # nearly always
        return os.pwrite(descriptor, parts[0], offset)
    return os.pwritev(descriptor, parts, offset)


def remove(path: str, identity: tuple[int, int]) -> None:
    """Remove a file of ours; another that took its name stays."""
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if (found.st_dev, found.st_ino) == identity:
            os.unlink(path)


def _open(path: str, owner: Owner | None) -> tuple[int, bool]:
    """Open for writing; the descriptor, and whether the file is new."""
    try:
        return create(path, owner), True
    except FileExistsError:
        return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC), False
