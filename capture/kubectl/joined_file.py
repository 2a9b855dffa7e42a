"""Files of nodes -> one pcapng in order of time.

A file is opened when the time of its first packet has come, and closed at its end: a capture of a week has thousands.
The output appears under its name when it is whole.
"""

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from capture.errors import FormatError, SinkError
from capture.kubectl.fetched_files import PART, FetchedFile
from capture.pcapng import blocks, describe
from capture.pcapng.joined_section import JoinedSection, check_order
from capture.pcapng.packet_runs import PacketOrigin, merged

_ZSTD = b"\x28\xb5\x2f\xfd"
_LOOK = 1 << 20
"""Bytes in which the first packet of a file is looked for; its description is shorter."""
PLAIN = ".plain"


@dataclass(frozen=True, slots=True)
class JoinedFile:
    """What was written."""

    path: str
    packets: int
    behind: int
    """Number of packets that were earlier than the one before them in their own file."""
    bytes: int


class FileOrigin(PacketOrigin):
    """A file of a node; it is opened when its first packet is next."""

    def __init__(self, section: JoinedSection, node: str, path: Path) -> None:
        super().__init__(section, node, str(path))
        self._path, self._first, self._open, self._view = path, first_time(path), False, memoryview(b"")

    def head_ns(self) -> int | None:
        """Return the time of the next packet."""
        if not self._open and self._first is not None:
            return self._first
        self.begin()
        head = super().head_ns()
        if head is None:
            self._view.release()
        return head

    def run(self, limit_ns: int) -> Iterator[bytes]:
        """Yield the packets up to this time."""
        self.begin()
        return super().run(limit_ns)

    def begin(self) -> None:
        """Open the file, once."""
        if self._open:
            return
        self._open = True
        with open(self._path, "rb") as file:
            if os.fstat(file.fileno()).st_size:
                self._view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                self.feed(self._view)


def first_time(path: Path) -> int | None:
    """Return the time of the first packet; None if there is none near the beginning."""
    with open(path, "rb") as file:
        data = file.read(_LOOK)
    at = 0
    while at + blocks.PACKET_HEAD.size <= len(data):
        kind, length, _, high, low = blocks.PACKET_HEAD.unpack_from(data, at)
        if kind == blocks.ENHANCED_PACKET:
            return blocks.time_of(high, low)
        if length < 12:
            return None
        at += length
    return None


def section_of(path: Path) -> describe.SectionDescription:
    """Return what the header of a file says. Raises FormatError if it is not a pcapng file of this byte order."""
    with open(path, "rb") as file:
        head = file.read(12)
        kind, length = blocks.HEAD.unpack(head[:8]) if len(head) == 12 else (0, 0)
        if kind != blocks.SECTION_HEADER:
            raise FormatError(f"not a pcapng file: {path}")
        check_order(head[8:] + bytes(16), str(path))
        body = head[8:] + file.read(length - 16)
    return describe.section(body, blocks.BYTE_ORDER)


def plain(path: Path) -> Path:
    """Return the file itself, or if it is compressed a file beside it with its content."""
    with open(path, "rb") as file:
        if file.read(4) != _ZSTD:
            return path
    from zstandard import ZstdDecompressor

    target = path.with_name(path.name + PLAIN)
    with open(path, "rb") as source, open(target, "wb") as out:
        ZstdDecompressor().copy_stream(source, out)
    return target


def join(
    files: Sequence[FetchedFile],
    output: str,
    origins: Callable[[describe.SectionDescription | None], bytes],
    progress: Callable[[int], None] = lambda _: None,
) -> JoinedFile:
    """Write one file; `origins` returns its header. Raises FormatError, SinkError."""
    part = output + PART
    try:
        paths = [(file.node, plain(file.path)) for file in files]
        section = JoinedSection(origins(section_of(paths[0][1]) if paths else None))
        sources = [FileOrigin(section, node, path) for node, path in paths]
        with open(part, "wb") as out:
            out.write(section.take())
            for run in merged(sources):
                out.write(run)
                progress(len(run))
            for source in sources:  # those without a packet say something, too
                source.begin()
                source.head_ns()
            out.write(section.closing())
            size = out.tell()
        os.replace(part, output)
        for (_, path), file in zip(paths, files, strict=True):
            if path != file.path:
                path.unlink()
    except OSError as error:
        raise SinkError(f"cannot write {part}: {error.strerror}; the files of the nodes are kept") from None
    return JoinedFile(output, sum(one.packets for one in sources), sum(one.behind for one in sources), size)
