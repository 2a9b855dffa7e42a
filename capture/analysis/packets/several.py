"""The parts of one capture -> batches as if they were one file: in a row, with packets numbered through all parts."""

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol

from capture.analysis.packets.capture_parts import Parts, name_of
from capture.analysis.packets.gathered import Gathered, Numbering
from capture.analysis.packets.reading import Batch, CaptureFile
from capture.errors import FormatError
from capture.pcapng.describe import Description
from capture.units import format_count


class CaptureSource(Protocol):
    """One file, or several that are read as one."""

    name: str
    packets: int
    """Number of packets read so far."""

    @property
    def description(self) -> Description: ...

    @property
    def size(self) -> int | None:
        """Bytes of all files; None if one of them is not a regular file."""

    @property
    def position(self) -> int:
        """Bytes that were read so far."""

    def __enter__(self) -> "CaptureSource": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[Batch]: ...


def open_parts(parts: Parts, inner: bool = False) -> CaptureSource:
    """Return the parts of one capture as one file. Raises TargetError."""
    return CaptureFile(parts[0], inner) if len(parts) == 1 else CaptureParts(parts, inner)


class Several:
    """What is common to all files that are read as one. Damage in one does not keep the others from being read."""

    def __init__(self, name: str, files: Sequence[str]) -> None:
        self.name, self.packets, self.description = name, 0, Gathered()
        regular = all(map(os.path.isfile, files))
        self.size = sum(map(os.path.getsize, files)) if regular else None
        self._damage: list[FormatError] = []

    def _raise_damage(self) -> None:
        if len(self._damage) == 1:
            raise self._damage[0]
        if self._damage:
            more = format_count(len(self._damage) - 1, "more file")
            raise FormatError(f"{self._damage[0]}; {more} cannot be read to the end")


class CaptureParts(Several):
    """The parts of one capture, in order."""

    def __init__(self, parts: Parts, inner: bool = False) -> None:
        super().__init__(name_of(parts), parts)
        self._parts, self._inner = parts, inner
        self._begun: list[tuple[str, int]] = []
        """Each part that was begun, and the number of packets in those before it."""
        self._open: CaptureFile | None = None
        self._read = 0

    def __enter__(self) -> "CaptureParts":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.__exit__(kind, error, trace)
            self._open = None

    @property
    def position(self) -> int:
        """Bytes that were read so far."""
        return self._read + (self._open.position if self._open is not None else 0)

    def place(self, number: int) -> tuple[str, int]:
        """Return the file that has a packet, by its number through all parts, and its number in that file."""
        file, before = max((part for part in self._begun if part[1] < number), key=lambda part: part[1])
        return file, number - before

    def __iter__(self) -> Iterator[Batch]:
        for name in self._parts:
            before = self.packets
            self._begun.append((name, before))
            with CaptureFile(name, self._inner) as part:
                self._open = part
                numbering = Numbering(self.description, part.description)
                try:
                    for batch in part:
                        self.packets = before + part.packets
                        batch.packets["number"] += before
                        numbering.replace(batch.packets)
                        yield batch
                except FormatError as error:
                    self._damage.append(error)
                self._open = None
                self._read += part.size or 0
        self._raise_damage()
