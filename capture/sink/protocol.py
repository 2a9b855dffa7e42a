"""What every output promises to the loop that fills it.

The loop writes from one thread and must not wait, because rings fill meanwhile: it writes only where there is
`room`, and looks at `durable` for what has arrived. What is accepted and does not arrive is counted by the loop.
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


class Sink(Protocol):
    """Where a capture goes."""

    name: str
    """What was asked for with -w."""
    bytes_written: int
    """Bytes of pcapng accepted so far, of all files, before compression."""

    @property
    def durable(self) -> int:
        """How many calls of `write` have reached the output whole: the first so many that were not taken back."""

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """The files that are left, the current one last; none for a stream."""

    @property
    def files_removed(self) -> int:
        """How many files made way for later ones."""

    def write(self, *parts: memoryview | bytes) -> None:
        """Take all of them, one after the other; the memory may be used again.

        Raises SinkError, ReaderGoneError: nothing of it is written. An error may also be of earlier data; `durable`
        says what arrived.
        """

    def room(self, seconds: float = 0) -> bool:
        """Whether `write` would not wait; waits at most so long for that. Raises SinkError, ReaderGoneError."""

    def settle(self, seconds: float) -> bool:
        """Whether all that was accepted is written; waits at most so long. Raises SinkError, ReaderGoneError."""

    def check(self) -> str | None:
        """A reason to end the capture, if there is one. Raises SinkError if no more can be written."""

    def next_file(self, wall_ns: int, last: bytes, first: bytes) -> None:
        """Complete this file with `last`, and begin the next with `first`: both, or SinkError and neither."""

    def finish(self) -> None:
        """Make room for the last blocks; after an error, writing is possible again."""

    def close(self) -> None:
        """No more will come. Raises SinkError if the output could not be completed."""


class ReaderGoneError(SinkError):
    """The reader of a pipe closed it: the normal end of a live capture."""
