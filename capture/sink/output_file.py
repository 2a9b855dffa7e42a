"""Bytes -> one file that is whole after every write: a write that a full disk cuts off is undone.

The file has its final name from the start. A temporary name would only hide a file that is valid already, and a
capture that is killed would leave its packets under a name that nobody expects. An earlier file of this name is
replaced at the first write, so a capture that fails to start removes nothing and leaves nothing.
"""

import contextlib
import os

from capture.errors import SinkError
from capture.sink.memory import write_at
from capture.sink.place import Owner, cannot, create, create_over


class OutputFile:
    """A file that is being written; `size` is its length in bytes.

    `replaced` is True when no earlier file has the name any more.
    """

    def __init__(self, path: str, owner: Owner | None) -> None:
        self.path, self.size = path, 0
        self._owner = owner
        try:
            self.descriptor, self.replaced = _open(path, owner)
        except OSError as error:
            raise cannot("write", path, error) from None

    def append(self, *parts: memoryview | bytes) -> None:
        """Write all parts in order, or raise SinkError with none of them written."""
        if not self.replaced:
            self._replace_earlier()
        self.check()
        written, left = 0, [memoryview(part) for part in parts if part]
        try:
            while left:
                count = write_at(self.descriptor, left, self.size + written)
                written += count
                while left and count >= len(left[0]):
                    count -= len(left.pop(0))
                if left:
                    left[0] = left[0][count:]
        except OSError as error:
            with contextlib.suppress(OSError):  # a disk that has become read-only refuses this, too
                os.ftruncate(self.descriptor, self.size)
            raise cannot("write", self.path, error) from None
        self.size += written

    def _replace_earlier(self) -> None:
        try:
            descriptor = create_over(self.path, self._owner)
        except OSError as error:
            raise cannot("replace", self.path, error) from None
        os.close(self.descriptor)
        self.descriptor, self.replaced = descriptor, True

    def check(self) -> None:
        """Raise SinkError if somebody removed the file, or the directory with it."""
        if os.fstat(self.descriptor).st_nlink == 0:
            raise SinkError(f"{self.path} was removed while it was written; its content is lost")

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the file, which do not change with its name."""
        status = os.fstat(self.descriptor)
        return status.st_dev, status.st_ino

    def discard(self) -> None:
        """Close the file and remove it."""
        if self.replaced:
            remove(self.path, self.identity)
        os.close(self.descriptor)

    def close(self) -> None:
        """Close the file; an empty one is removed."""
        if self.size == 0:
            self.discard()
        else:
            os.close(self.descriptor)


def remove(path: str, identity: tuple[int, int]) -> None:
    """Remove a file of ours; a foreign file that has taken its name stays."""
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        if (status.st_dev, status.st_ino) == identity:
            os.unlink(path)


def _open(path: str, owner: Owner | None) -> tuple[int, bool]:
    """Open a file for writing. Returns the descriptor, and True if the file is new."""
    try:
        return create(path, owner), True
    except FileExistsError:
        return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC), False
