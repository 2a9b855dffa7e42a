"""Blocks -> blocks compressed with zstd by a thread, so that the writer does not wait.

Each file is one frame, and every `write` ends a zstd block: a file that was not completed can be read up to its last
block, and on a full disk whole writes can be taken back. One frame, because Wireshark (since 4.0) reads the part
behind the first 128 KiB of a file as uncompressed if a second frame begins there. Level 1, because higher levels make
packets hardly smaller and take twice the time.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import zstandard

from capture.errors import SinkError
from capture.sink.protocol import FileRecord, ReaderGoneError, Sink

LEVEL = 1
QUEUE_BYTES = 64 << 20
"""Bytes that are accepted and not yet compressed from which on there is no more room."""
_BLOCK = 1 << 17
_LAST_BLOCK = b"\1\0\0"
"""An empty block that completes any frame without a checksum."""
_CHECK_SECONDS = 1.0
_STUCK_SECONDS = 0.1


class Frame:
    """The frame of one file. After `roll_back` its blocks are uncompressed: they do not refer to lost data."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=LEVEL).compressobj()
        self._raw = False
        self.begun = False
        """True if a part of the frame is in the file."""

    def blocks(self, data: bytes) -> bytes:
        """Return the data as whole blocks."""
        if not self._raw:
            return self._compressor.compress(data) + self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        parts = (data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK))
        return b"".join((len(part) << 3).to_bytes(3, "little") + part for part in parts)

    def roll_back(self) -> None:
        """Note that the last result of `blocks` is not in the file."""
        if self.begun:
            self._raw = True
        else:
            self._compressor = zstandard.ZstdCompressor(level=LEVEL).compressobj()


@dataclass(frozen=True, slots=True)
class _NextFile:
    wall_ns: int
    last: bytes
    first: bytes


class ZstdSink:
    """Compresses into another sink, which only the thread uses while it runs."""

    place = None

    def __init__(self, inner: Sink) -> None:
        self.name, self.bytes_written = inner.name, 0
        self._inner, self._frame, self._completed = inner, Frame(), 0
        self._changed = threading.Condition()
        self._jobs: deque[bytes | _NextFile] = deque()
        self._unfinished, self._pending = 0, 0
        """Number of jobs and their bytes, including the job at work."""
        self._failure: Exception | None = None
        self._reason: str | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        """Started with the first block, so that it has only the capabilities that the capture has kept by then."""

    @property
    def durable(self) -> int:
        return self._inner.durable - self._completed

    @property
    def files(self) -> tuple[FileRecord, ...]:
        return self._inner.files

    @property
    def files_removed(self) -> int:
        return self._inner.files_removed

    def write(self, *parts: memoryview | bytes) -> None:
        data = b"".join(parts)
        self._put(data, len(data))

    def next_file(self, wall_ns: int, last: bytes, first: bytes) -> None:
        self._put(_NextFile(wall_ns, last, first), len(last) + len(first))

    def _put(self, job: bytes | _NextFile, size: int) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="zstd", daemon=True)
            self._thread.start()
        with self._changed:
            self._raise_failure()
            self._jobs.append(job)
            self._unfinished += 1
            self._pending += size
            self._changed.notify_all()
        self.bytes_written += size

    def room(self, seconds: float = 0) -> bool:
        return self._wait(lambda: self._pending < QUEUE_BYTES, seconds)

    def flush(self, seconds: float) -> bool:
        return self._wait(lambda: self._unfinished == 0, seconds)

    def _wait(self, reached: Callable[[], bool], seconds: float) -> bool:
        with self._changed:
            done = self._changed.wait_for(lambda: self._failure is not None or reached(), seconds)
            self._raise_failure()
            return done

    def check(self) -> str | None:
        with self._changed:
            self._raise_failure()
            return self._reason

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        with self._changed:
            self._failure = None
        self._inner.finish()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        try:
            if self._frame.begun:
                self._complete()
        finally:
            self._inner.close()

    def _complete(self) -> None:
        with contextlib.suppress(ReaderGoneError):
            self._inner.write(_LAST_BLOCK)
            self._completed = int(self._inner.flush(_STUCK_SECONDS))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed, _CHECK_SECONDS)
                job = self._jobs.popleft() if self._jobs else None
                if job is None and self._closed:
                    return
            try:
                size = 0 if job is None else self._do(job)
                reason = self._inner.check()
            except Exception as error:
                self._frame.roll_back()
                with self._changed:
                    self._failure, self._unfinished, self._pending = error, 0, 0
                    self._jobs.clear()
                    self._changed.notify_all()
            else:
                with self._changed:
                    self._reason = reason
                    self._unfinished -= job is not None
                    self._pending -= size
                    self._changed.notify_all()

    def _do(self, job: bytes | _NextFile) -> int:
        """Compress and write one job. Returns its bytes before compression."""
        if isinstance(job, _NextFile):
            following = Frame()
            first = following.blocks(job.first)
            self._inner.next_file(job.wall_ns, self._frame.blocks(job.last) + _LAST_BLOCK, first)
            following.begun, self._frame = True, following
            return len(job.last) + len(job.first)
        self._inner.write(self._frame.blocks(job))
        self._frame.begun = True
        while not self._inner.flush(_STUCK_SECONDS):
            if self._closed:
                raise SinkError(f"the reader of {self.name} does not read")
        return len(job)
