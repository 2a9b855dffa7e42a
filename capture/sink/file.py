"""Blocks -> a file, or standard output for a live reader.

A file has its final name from the start and is whole after every write, so that a capture that is killed leaves
what it had; the JSON summary beside it appears last and says that the file is complete. Batches are written
whole or not at all: what a full disk cuts off is taken back, and the caller counts it as lost.
"""

import contextlib
import errno
import os
import stat
import sys
from typing import Protocol

from capture.errors import SinkError

BALLAST = 64 << 10
"""Space held back until the end, so that a full disk still takes the statistics and the summary."""


class Sink(Protocol):
    """Where a capture goes."""

    name: str
    bytes_written: int

    def write(self, data: memoryview | bytes) -> None:
        """Write all of it. Raises SinkError, or ReaderGoneError, with nothing of it written."""

    def finish(self) -> None:
        """Make room for the last blocks."""

    def close(self) -> None:
        """No more will come."""


class ReaderGoneError(SinkError):
    """The reader of a pipe closed it: the normal end of a live capture."""


class FileSink:
    """A file of our own, mode 0600; a symbolic link in its place is not followed."""

    def __init__(self, path: str) -> None:
        self.name = path
        self.bytes_written = 0
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise _cannot("write", path, error) from None
        self._regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._ballast = -1
        if self._regular:
            os.ftruncate(self._descriptor, 0)
            with contextlib.suppress(OSError):
                self._ballast = os.open(
                    os.path.dirname(path) or ".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600
                )
                os.posix_fallocate(self._ballast, 0, BALLAST)

    def write(self, data: memoryview | bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            if self._regular:
                os.ftruncate(self._descriptor, self.bytes_written)
                os.lseek(self._descriptor, self.bytes_written, os.SEEK_SET)
            raise _cannot("write", self.name, error) from None
        self.bytes_written += len(data)

    def finish(self) -> None:
        if self._ballast >= 0:
            os.close(self._ballast)
            self._ballast = -1

    def close(self) -> None:
        self.finish()
        os.close(self._descriptor)


class StreamSink:
    """Standard output, for `wireshark -k -i -`."""

    name = "-"

    def __init__(self) -> None:
        self.bytes_written = 0
        self._descriptor = sys.stdout.fileno()
        if os.isatty(self._descriptor):
            raise SinkError("standard output is a terminal; pipe it (bicap capture -w - ... | tshark -i -)")

    def write(self, data: memoryview | bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except BrokenPipeError:
            raise ReaderGoneError("the reader of standard output closed it") from None
        except OSError as error:
            raise _cannot("write", "standard output", error) from None
        self.bytes_written += len(data)

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


def open_sink(path: str) -> Sink:
    """A sink for `-w`: a path, or - for standard output."""
    return StreamSink() if path == "-" else FileSink(path)


def _cannot(what: str, path: str, error: OSError) -> SinkError:
    remedy = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the quota is used up",
        errno.EACCES: "not allowed; choose another place with -w",
        errno.ELOOP: "it is a symbolic link, which is not followed; name the file itself",
        errno.ENOENT: "the directory does not exist",
        errno.EISDIR: "it is a directory; name a file in it",
        errno.EROFS: "the file system is read-only; choose another place with -w",
    }
    return SinkError(f"cannot {what} {path}: {remedy.get(error.errno or 0, error.strerror)}")


def write_beside(path: str, text: str) -> None:
    """Write a small file whole under its final name, by way of a temporary one."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise _cannot("write", path, error) from None
