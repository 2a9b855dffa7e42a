"""The files of a capture that runs -> frames of a live view: blocks that were added, and how far they are complete.

The file is the source, so a view costs the capture nothing, and takes part in no loss: what the file has, a view can
show later. The order of three steps makes a watermark true: the capture says that all packets before T are in the
file; then the file is read to its end; then T is sent.

A viewer who reads too slowly falls behind the file. When more than BEHIND_MOST bytes wait, packets are counted and
left out until half of that is left, and the viewer is told how many; other blocks are sent, so later packets still
have their interfaces. So memory is bounded by one read, whatever the viewer does.
"""

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from capture.agent.folder import CaptureFolder
from capture.pcapng.blocks import ENHANCED_PACKET, HEAD
from capture.retrieval.live_frames import BLOCKS, CLOCK, ENDED, GONE, LOST, WATERMARK, frame

READ_BYTES = 256 << 10
BEHIND_MOST = 32 << 20
POLL_SECONDS = 0.05
PULSE_SECONDS = 0.2
"""Longest time without a frame: silence means that this node is gone."""
CLOCK_SECONDS = 10.0
_BLOCK_MIN, _BLOCK_MOST = 12, 2 << 20


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The node's clock less the controller's, and how wrong that may be, ns; and the state that its kernel tells."""

    offset_ns: int
    uncertainty_ns: int
    synchronized: bool


class GrowingFiles:
    """The files of a capture, one after the other, as far as they are whole blocks.

    `paths` of its methods are those of all files, looked up before a file is read: one is complete once there is
    another behind it.
    """

    def __init__(self) -> None:
        self._path, self._file = "", -1
        self._seen: set[str] = set()
        self._held = b""
        """The begin of a block whose end is not there yet."""
        self._at = 0

    def close(self) -> None:
        """Close the present file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @property
    def behind(self) -> int:
        """Bytes of the present file that were not read."""
        return os.fstat(self._file).st_size - self._at if self._file >= 0 else 0

    def end_now(self, paths: list[str]) -> tuple[str, int]:
        """Return the last file and its size now."""
        with contextlib.suppress(FileNotFoundError):
            if paths:
                return paths[-1], os.stat(paths[-1]).st_size
        return "", 0

    def has_reached(self, end: tuple[str, int]) -> bool:
        """True if everything up to such an end was read."""
        return (self._path == end[0] and self._at >= end[1]) or not end[0]

    def read(self, paths: list[str]) -> bytes:
        """Return whole blocks that come next; empty if there are none now."""
        if self._file < 0 and not self._next(paths):
            return b""
        while True:
            data = os.pread(self._file, READ_BYTES, self._at)
            if data:
                self._at += len(data)
                self._held += data
                end = whole_blocks(self._held)
                if end:
                    found, self._held = self._held[:end], self._held[end:]
                    return found
            elif self._path == (paths[-1] if paths else self._path) or not self._next(paths):
                return b""

    def _next(self, paths: list[str]) -> bool:
        """Go on with the next file. False if there is none."""
        for path in paths:
            if path not in self._seen:
                self._seen.add(path)
                try:
                    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                except FileNotFoundError:  # rotated away
                    continue
                self.close()
                self._file, self._path, self._held, self._at = descriptor, path, b"", 0
                return True
        return False


def whole_blocks(data: bytes) -> int:
    """Return the length of the whole blocks with which `data` begins. Raises ValueError if it is not a block."""
    at, size = 0, len(data)
    while at + HEAD.size <= size:
        length = HEAD.unpack_from(data, at)[1]
        if length < _BLOCK_MIN or length > _BLOCK_MOST or length % 4:
            raise ValueError(f"not a pcapng block: its length is {length}")
        if at + length > size:
            break
        at += length
    return at


def without_packets(blocks: bytes) -> tuple[bytes, int]:
    """Return whole blocks without those of packets, and the number of these."""
    kept, at, packets = [], 0, 0
    while at < len(blocks):
        kind, length = HEAD.unpack_from(blocks, at)
        if kind == ENHANCED_PACKET:
            packets += 1
        else:
            kept.append(blocks[at : at + length])
        at += length
    return b"".join(kept), packets


class LiveTail:
    """A live view of one capture on this node.

    `written` returns the wall-clock time before which all packets are in the file, `over` why the capture has ended,
    None while it has not; `clock` compares clocks, None if it could not.
    """

    def __init__(
        self,
        folder: CaptureFolder,
        node: str,
        written: Callable[[], int],
        over: Callable[[], str | None],
        clock: Callable[[], ClockReading | None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._node = folder, node
        self._written, self._over, self._clock, self._sleep = written, over, clock, sleep
        self._lost = self._told = 0
        """Packets left out so far, and as far as the viewer knows."""

    def frames(self) -> Generator[bytes, None, None]:
        """Yield frames until the capture has ended, or nobody wants more."""
        files = GrowingFiles()
        watermark, said, clock_due = 0, 0.0, 0.0
        try:
            while True:
                now = time.monotonic()
                if now >= clock_due:
                    yield from self._clock_frame()
                    clock_due = now + CLOCK_SECONDS
                over, written = self._over(), self._written()
                yield from self._new_blocks(files)
                if written > watermark or now - said >= PULSE_SECONDS:
                    watermark, said = max(written, watermark), now
                    yield frame(WATERMARK, self._node, ns=watermark)
                if over is not None:
                    yield frame(ENDED, self._node, reason=over)
                    return
                self._sleep(POLL_SECONDS)
        except ValueError as error:
            yield frame(GONE, self._node, reason=f"the file cannot be followed: {error}")
        finally:
            files.close()

    def _new_blocks(self, files: GrowingFiles) -> Iterator[bytes]:
        """Yield what was added, to the end of the file as it is now."""
        paths = self._paths()
        skipping, end = False, files.end_now(paths)
        while blocks := files.read(paths):
            behind = files.behind
            skipping = behind > (BEHIND_MOST // 2 if skipping else BEHIND_MOST)
            if skipping:
                blocks, packets = without_packets(blocks)
                self._lost += packets
            if blocks:
                yield frame(BLOCKS, self._node, blocks)
            if not skipping and self._lost != self._told:
                self._told = self._lost
                yield frame(LOST, self._node, packets=self._lost)
            if files.has_reached(end):  # what was added meanwhile is newer than what is said now
                return

    def _clock_frame(self) -> Iterator[bytes]:
        reading = self._clock()
        if reading is not None:
            yield frame(
                CLOCK,
                self._node,
                offsetNs=reading.offset_ns,
                uncertaintyNs=reading.uncertainty_ns,
                synchronized=reading.synchronized,
            )

    def _paths(self) -> list[str]:
        record = self._folder.load()
        parts = record.parts if record is not None else []
        return [path for part in parts for path in self._folder.paths(part)]


def can_be_followed(folder: CaptureFolder) -> bool:
    """False if the files are compressed: then blocks have no place that could be read."""
    record = folder.load()
    return record is None or not any(Path(part.file).suffix == ".zst" for part in record.parts)
