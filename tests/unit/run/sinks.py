"""An output in memory, which fails, lags and stalls when a test tells it to."""

from dataclasses import dataclass, field

from capture.errors import SinkError
from capture.sink.protocol import FileRecord, ReaderGoneError

FULL, GONE = SinkError("cannot write f: the disk is full"), ReaderGoneError("the reader of f closed it")


@dataclass
class FakeSink:
    """Keeps what it gets, in files; fails, lags and stalls when told to."""

    name: str = "f"
    content: list[bytes] = field(default_factory=lambda: [b""])
    """What has arrived, by file."""
    queue: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    """What is accepted and has not arrived."""
    bytes_written: int = 0
    durable: int = 0
    lags: bool = False
    error: SinkError | None = None
    """Raised at every call until finish()."""
    reason: str | None = None
    has_room: bool = True
    finished: bool = False
    took_per_settle: int = 1 << 30
    """How much of the queue arrives while somebody waits."""
    files_removed: int = 0

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
        """As a thread would: what is queued does not arrive any more."""
        self.error = error
        self.queue.clear()

    def room(self, seconds: float = 0) -> bool:
        self._raise()
        return self.has_room

    def settle(self, seconds: float) -> bool:
        self._raise()
        self.arrive(self.took_per_settle)
        return not self.queue

    def check(self) -> str | None:
        self._raise()
        return self.reason

    def finish(self) -> None:
        self.finished, self.error = True, None

    def close(self) -> None:
        raise AssertionError("the sink belongs to the capture")
