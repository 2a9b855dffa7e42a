"""The protocol of all outputs.

The loop over packets writes from one thread and must not wait, because rings fill meanwhile. So it writes only if
there is `room`, and reads `durable` to learn what has arrived. The loop counts data that was accepted and did not
arrive.
"""

from dataclasses import dataclass
from typing import Protocol

from capture.errors import SinkError


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of the capture: its bytes on disk, and the wall-clock time at which it began."""

    path: str
    bytes: int
    began_ns: int


class FileEnd(Protocol):
    """The end of a file, to which the loop over packets may write itself."""

    @property
    def descriptor(self) -> int:
        """The open file."""

    @property
    def position(self) -> int:
        """Where its next bytes belong."""

    @property
    def calls_most(self) -> int:
        """So many writes may go there before `check`."""

    def wrote(self, calls: int, size: int) -> None:
        """Note that `size` bytes were written there, whole; they count as so many calls of `write`."""


class Sink(Protocol):
    """The output of a capture."""

    name: str
    """The argument of -w."""
    bytes_written: int
    """Bytes of pcapng accepted so far, of all files, before compression."""

    @property
    def durable(self) -> int:
        """Number of calls of `write` whose data has reached the output whole, counted from the first call."""

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """The files that are left, the current one last; none for a stream."""

    @property
    def files_removed(self) -> int:
        """Number of files that were removed to make room for later ones."""

    @property
    def place(self) -> "FileEnd | None":
        """Where the next bytes may be written instead of by `write`; None if they may not. Raises SinkError."""

    def write(self, *parts: memoryview | bytes) -> None:
        """Accept all parts in order; the caller may reuse their memory afterwards.

        Raises SinkError, ReaderGoneError; then nothing of this call is written. The error may be about earlier data;
        `durable` tells what arrived.
        """

    def room(self, seconds: float = 0) -> bool:
        """True if `write` need not wait; waits at most `seconds` for that. Raises SinkError, ReaderGoneError."""

    def flush(self, seconds: float) -> bool:
        """True if all accepted data is written; waits at most `seconds` for that. Raises SinkError,
        ReaderGoneError."""

    def check(self) -> str | None:
        """Return a reason to end the capture, None to go on. Raises SinkError if no more can be written."""

    def next_file(self, wall_ns: int, last: bytes, first: bytes) -> None:
        """Complete this file with `last`, and begin the next with `first`. Raises SinkError; then neither is done."""

    def finish(self) -> None:
        """Make room for the last blocks; after an error this makes writing possible again."""

    def close(self) -> None:
        """Close the output. Raises SinkError if it could not be completed."""


class ReaderGoneError(SinkError):
    """The reader of a pipe closed it: the normal end of a live capture."""
