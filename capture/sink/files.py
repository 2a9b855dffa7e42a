"""Blocks -> a file, or a series of files; the JSON summary beside them is written last.

A batch is written whole or not at all; the caller counts the batches that were not.
"""

import contextlib
import os
import time

from capture.errors import SinkError
from capture.sink.cache import CacheDropper
from capture.sink.fileset import Ring, numbered
from capture.sink.output_file import OutputFile
from capture.sink.place import cannot, make_directory, owner_of, summary_path
from capture.sink.protocol import FileRecord
from capture.storage import Storage
from capture.units import format_size

BALLAST = 64 << 10
"""Bytes reserved until the end, so that the statistics and the summary still fit on a full disk."""

_CALLS_MOST = 1 << 30


class FileSink:
    """New files with mode 0600; a missing directory is made with mode 0700."""

    def __init__(self, path: str, storage: Storage = Storage()) -> None:  # noqa: B008 - frozen
        self.name, self.bytes_written, self.durable = path, 0, 0
        self._storage, self._owner = storage, owner_of(storage.user)
        self._ring, self._number, self._began_ns = Ring(storage.files_kept), 1, time.time_ns()
        self._ballast = -1
        first = numbered(path, 1, self._began_ns) if storage.rotates else path
        try:
            self._made = make_directory(first, self._owner)
        except OSError as error:
            raise cannot("write", path, error) from None
        try:
            self._file = OutputFile(first, self._owner)
        except SinkError:
            self._leave_directory()
            raise
        self._cache = CacheDropper()
        self._reserve_ballast()
        shortage = self._shortage()
        if shortage:
            self.close()
            raise SinkError(f"cannot write {path}: {shortage}")

    def _reserve_ballast(self) -> None:
        with contextlib.suppress(OSError):
            directory = os.path.dirname(self._file.path) or "."
            self._ballast = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            if self._owner is not None:  # so that it counts towards the same quota
                os.fchown(self._ballast, self._owner.uid, self._owner.gid)
            os.posix_fallocate(self._ballast, 0, BALLAST)

    @property
    def files(self) -> tuple[FileRecord, ...]:
        return (*self._ring.files, self._record())

    @property
    def files_removed(self) -> int:
        return self._ring.removed

    def _record(self) -> FileRecord:
        return FileRecord(self._file.path, self._file.size, self._began_ns)

    def write(self, *parts: memoryview | bytes) -> None:
        if self.bytes_written == 0:
            self._remove_earlier_summary()
        before = self._file.size
        self._file.append(*parts)
        self._written(1, self._file.size - before)

    @property
    def place(self) -> "FileSink | None":
        self._file.check()
        return self if self._file.replaced else None

    @property
    def descriptor(self) -> int:
        """See FileEnd."""
        return self._file.descriptor

    @property
    def position(self) -> int:
        """See FileEnd."""
        return self._file.size

    @property
    def calls_most(self) -> int:
        """See FileEnd: the space of --min-free stays free, so it is looked at after each write."""
        return _CALLS_MOST if self._storage.min_free is None else 1

    def wrote(self, calls: int, size: int) -> None:
        """See FileEnd."""
        self._file.size += size
        self._written(calls, size)

    def _written(self, calls: int, size: int) -> None:
        self._cache.wrote(self._file.descriptor, self._file.size)
        self.bytes_written += size
        self.durable += calls

    def _remove_earlier_summary(self) -> None:
        # Before the earlier file is replaced: its summary must never stand beside another file.
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(summary_path(self.name))
        except OSError as error:
            raise cannot("replace", summary_path(self.name), error) from None

    def room(self, seconds: float = 0) -> bool:
        return True

    def flush(self, seconds: float) -> bool:
        return True

    def check(self) -> str | None:
        self._file.check()
        if self._cache.failure is not None:
            raise cannot("write", self._file.path, self._cache.failure)
        return self._shortage()

    def _shortage(self) -> str | None:
        if self._storage.min_free is None:
            return None
        disk = os.fstatvfs(self._file.descriptor)
        free = disk.f_bavail * disk.f_frsize
        if free >= self._storage.min_free.of(disk.f_blocks * disk.f_frsize):
            return None
        return f"{format_size(free)} are free on its disk, and {self._storage.min_free} must stay free (--min-free)"

    def next_file(self, wall_ns: int, last: bytes, first: bytes) -> None:
        following = OutputFile(numbered(self.name, self._number + 1, wall_ns), self._owner)
        try:
            following.append(first)
            self._file.append(last)
        except SinkError:
            following.discard()
            raise
        record, identity = self._record(), self._file.identity
        self._cache.file_ends()
        self._file.close()
        self._file, self._began_ns = following, wall_ns
        self._number += 1
        self._ring.completed(record, identity)
        self.bytes_written += len(last) + len(first)

    def finish(self) -> None:
        if self._ballast >= 0:
            os.close(self._ballast)
            self._ballast = -1

    def close(self) -> None:
        self.finish()
        self._cache.close()
        self._ring.close()
        self._file.close()
        if self.bytes_written == 0:
            self._leave_directory()

    def _leave_directory(self) -> None:
        if self._made is not None:
            with contextlib.suppress(OSError):
                os.rmdir(self._made)
