"""The files of a running capture, as far as they are said to be written -> batches of their packets.

The page cache is the memory between the two: the capture writes as it always does and waits for nobody, and the
reader takes what is there. A reader that falls behind by more than BEHIND_MOST bytes passes over packets until half
of that is left: it reads their blocks, because interfaces are among them, and neither decodes nor tracks them. Files
that were removed before they were read are left out. Both are counted: `missed` is what the capture has written less
what was read.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from capture.analysis.packets.reading import Batch, CaptureFile
from capture.errors import TargetError

BEHIND_MOST = 64 << 20


class WrittenFile(io.RawIOBase):
    """A file, up to the size that was told; what is behind that may not be whole."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        self._at = self.written = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer)[: self.written - self._at]
        got = self._file.readinto(room) or 0 if len(room) else 0
        self._at += got
        return got

    @property
    def behind(self) -> int:
        """Bytes that are written and were not read."""
        return self.written - self._at

    def close(self) -> None:
        self._file.close()
        super().close()


class GrowingCapture:
    """The packets of a capture whose progress is told by `wrote`. `wait` is called when all of that was read."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait
        self._sizes: dict[str, int] = {}
        """Bytes that are written of the files that are not read to their end, the oldest first."""
        self._known: CaptureFile | None = None
        self._over = False
        self.present = "", 0
        """The file that is read, and the number of packets that were in those before it."""
        self._written = self._read = self._passed = self._left_out = 0

    def wrote(self, files: Iterable[tuple[str, int]], packets: int, over: bool) -> None:
        """Learn how large files are now, the last one the youngest, and how many packets all have had together."""
        self._sizes.update(files)
        self._written, self._over = packets, over

    @property
    def missed(self) -> int:
        """Packets that are known to have been left out; those of removed files are known once the end is reached."""
        return max(self._passed, self._left_out)

    @property
    def description(self) -> Any:
        """Interfaces and names of the present file; None before the first."""
        return None if self._known is None else self._known.description

    def batches(self) -> Iterator[Batch]:
        """Yield packets of the interfaces and events, until the capture is over; each is valid until the next."""
        number = 0
        while True:
            while not self._sizes and not self._over:
                self._wait()
            if not self._sizes:
                return
            path = next(iter(self._sizes))
            try:
                written = WrittenFile(path)
            except OSError:  # removed to make room for later ones
                del self._sizes[path]
                continue
            self.present = path, number
            with written:
                yield from self._of_file(path, written, number)
                if self._known is not None:
                    number = self._known.packets
            del self._sizes[path]

    def _of_file(self, path: str, written: WrittenFile, number: int) -> Iterator[Batch]:
        def more() -> bool:
            written.written = self._sizes[path]
            if written.behind:
                return True
            if len(self._sizes) > 1:
                return False
            self._left_out = self._written - self._read
            if self._over:
                return False
            self._wait()
            return True

        more()
        try:
            capture = CaptureFile(path, more=more, opened=written)  # type: ignore[arg-type]
        except TargetError:
            return
        capture.packets, self._known = number, capture
        for batch in capture:
            if not capture.decoded:
                self._passed += len(batch.packets)
            else:
                self._read += len(batch.packets)
                yield batch
            written.written = self._sizes[path]
            behind = written.behind + sum(list(self._sizes.values())[1:])
            capture.decoded = behind < (BEHIND_MOST if capture.decoded else BEHIND_MOST // 2)
