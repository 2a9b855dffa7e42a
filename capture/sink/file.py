"""Blocks -> a file, or standard output for a live reader.

A file has its final name from the start and is whole after every write, so that a capture that is killed leaves
what it had; the JSON summary beside it appears last and says that the file is complete. Batches are written
whole or not at all: what a full disk cuts off is taken back, and the caller counts it as lost. An earlier capture
under the same name goes with the first write: one that fails to start takes nothing away and leaves nothing.
"""

import contextlib
import errno
import os
import stat
import sys
from typing import Protocol

from capture.errors import SinkError, SpecError

BALLAST = 64 << 10
"""Space held back until the end, so that a full disk still takes the statistics and the summary."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


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
            self._descriptor, self._made = _open(path)
        except OSError as error:
            raise _cannot("write", path, error) from None
        self._regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._ballast = -1
        if self._regular:
            with contextlib.suppress(OSError):
                self._ballast = os.open(
                    os.path.dirname(path) or ".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600
                )
                os.posix_fallocate(self._ballast, 0, BALLAST)

    def write(self, data: memoryview | bytes) -> None:
        if self._regular and self.bytes_written == 0:
            self._replace_earlier()
        try:
            _write_all(self._descriptor, data)
        except BrokenPipeError:
            raise ReaderGoneError(f"the reader of {self.name} closed it") from None
        except OSError as error:
            if self._regular:
                self._take_back()
            raise _cannot("write", self.name, error) from None
        self.bytes_written += len(data)

    def _replace_earlier(self) -> None:
        # The summary first: it must never say of a file that it is complete when it means another.
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(summary_path(self.name))
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise _cannot("replace", self.name, error) from None

    def _take_back(self) -> None:
        os.ftruncate(self._descriptor, self.bytes_written)
        os.lseek(self._descriptor, self.bytes_written, os.SEEK_SET)

    def finish(self) -> None:
        if self._ballast >= 0:
            os.close(self._ballast)
            self._ballast = -1

    def close(self) -> None:
        self.finish()
        if self._made and self.bytes_written == 0:
            with contextlib.suppress(OSError):
                os.unlink(self.name)
        os.close(self._descriptor)


class StreamSink:
    """Standard output, for `wireshark -k -i -`."""

    name = "-"

    def __init__(self) -> None:
        self.bytes_written = 0
        if sys.stdout is None:
            raise SinkError("standard output is closed; pipe it (bicap capture -w - ... | tshark -i -)")
        self._descriptor = sys.stdout.fileno()
        if os.isatty(self._descriptor):
            raise SinkError("standard output is a terminal; pipe it (bicap capture -w - ... | tshark -i -)")

    def write(self, data: memoryview | bytes) -> None:
        try:
            _write_all(self._descriptor, data)
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
    """A sink for `-w`: a path, or - for standard output. Raises SinkError, SpecError."""
    if not path:
        raise SpecError("the output has no name; name a file with -w, or -w - for a live stream")
    return StreamSink() if path == "-" else FileSink(path)


def summary_path(output: str) -> str:
    """Where the JSON summary of a file lies."""
    return f"{output}.json"


def _open(path: str) -> tuple[int, bool]:
    """Open for writing; the descriptor, and whether the file is new."""
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600), True
    except FileExistsError:
        return os.open(path, flags), False


def _write_all(descriptor: int, data: memoryview | bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _cannot(what: str, path: str, error: OSError) -> SinkError:
    remedy = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the quota is used up",
        errno.EACCES: "not allowed; choose another place",
        errno.ELOOP: "it is a symbolic link, which is not followed; name the file itself",
        errno.ENOENT: "the directory does not exist",
        errno.EISDIR: "it is a directory; name a file in it",
        errno.EROFS: "the file system is read-only; choose another place",
    }
    return SinkError(f"cannot {what} {path}: {remedy.get(error.errno or 0, error.strerror)}")


def make_way(path: str) -> None:
    """See that `write_beside` can write there, and take away what an earlier run left. Raises SinkError."""
    temporary = _temporary(path)
    try:
        os.close(os.open(temporary, _NEW, 0o600))
        os.unlink(temporary)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    except OSError as error:
        raise _cannot("write", path, error) from None


def write_beside(path: str, text: str) -> None:
    """Write a small file whole under its final name, by way of a temporary one. Raises SinkError."""
    temporary = _temporary(path)
    try:
        with open(os.open(temporary, _NEW, 0o600), "w") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise _cannot("write", path, error) from None


def _temporary(path: str) -> str:
    return f"{path}.{os.getpid()}.tmp"
