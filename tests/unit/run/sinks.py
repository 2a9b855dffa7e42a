"""An output in memory that can fail, lag and stall, as a test needs it."""

from dataclasses import dataclass, field

from capture.errors import SinkError
from capture.sink.protocol import FileEnd, FileRecord, ReaderGoneError

FULL, GONE = SinkError("cannot write f: the disk is full"), ReaderGoneError("the reader of f closed it")


@dataclass
class FakeSink:
    """Keeps its input in files; can fail, lag and stall."""

    name: str = "f"
    content: list[bytes] = field(default_factory=lambda: [b""])
    """Bytes that have arrived, by file."""
    queue: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    """Bytes that were accepted and have not arrived."""
    bytes_written: int = 0
    durable: int = 0
    lags: bool = False
    error: SinkError | None = None
    """Raised at every call until finish()."""
    reason: str | None = None
    has_room: bool = True
    finished: bool = False
    took_per_flush: int = 1 << 30
    """Jobs of the queue that arrive during one `flush`."""
    files_removed: int = 0
    place: FileEnd | None = None

    @property
    def files(self) -> tuple[FileRecord, ...]:
        return tuple(FileRecord(str(n), len(data), 0) for n, data in enumerate(self.content))

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error

    def write(self, *parts: memoryview | bytes) -> None:
        data = b"".join(parts)
        self._raise()
        self.bytes_written += len(data)
        self.queue.append(("write", bytes(data), b""))
        if not self.lags:
            self.arrive(1)

    def next_file(self, wall_ns: int, last: bytes, first: bytes) -> None:
        self._raise()
        self.queue.append(("next", last, first))
        if not self.lags:
            self.arrive(1)

    def arrive(self, jobs: int) -> None:
        for kind, data, first in self.queue[:jobs]:
            self.content[-1] += data
            if kind == "next":
                self.content.append(first)
            else:
                self.durable += 1
        del self.queue[:jobs]

    def fail(self, error: SinkError = FULL) -> None:
        """Fail as a thread would: queued jobs do not arrive any more."""
        self.error = error
        self.queue.clear()

    def room(self, seconds: float = 0) -> bool:
        self._raise()
        return self.has_room

    def flush(self, seconds: float) -> bool:
        self._raise()
        self.arrive(self.took_per_flush)
        return not self.queue

    def check(self) -> str | None:
        self._raise()
        return self.reason

    def finish(self) -> None:
        self.finished, self.error = True, None

    def close(self) -> None:
        raise AssertionError("the sink belongs to the capture")
