"""A capture file -> batches of decoded packets, and its description. Never holds the whole file.

Reads pcap and pcapng, plain or compressed by gzip or zstd; "-" is standard input.
"""

import gzip
import io
import os
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

import numpy as np
import zstandard

from capture.analysis.packets.ahead import ahead
from capture.analysis.packets.compiled.decode import decode
from capture.analysis.packets.compiled.tunnels import unwrap
from capture.analysis.packets.events import is_of_events, mark_events
from capture.analysis.packets.packet_table import PACKET
from capture.arrays.aliases import Bytes, Table
from capture.errors import FormatError, TargetError
from capture.pcapng.reader import Reader
from capture.units import format_count
from capture.wire.link_names import LINK_NAMES, link_name
from capture.wire.link_types import LINK_TYPES

_PIECE, _BATCH = 1 << 20, 1 << 12
"""Bytes read at a time, and packets in a batch at most."""
_WORTH_A_THREAD = 4 << 20
"""Size from which on a file is read ahead by a thread, bytes."""
_AHEAD = 4
"""Batches of a regular file that exist at a time: being made, waiting, and in use."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class Batch:
    """Packets, and the bytes that their `offset` points into. Both are valid until the next batch is read."""

    data: Bytes
    packets: Table
    position: int = -1
    """Byte of the file at which reading can go on with these packets; -1: it cannot (compressed, a pipe, merged)."""
    events: bool = True
    """False: no packet is an event (packets.events), so nobody has to look for one."""


class CaptureFile:
    """An open capture file. `description` has the interfaces and names that have been read so far.

    With `inner`, packets inside VXLAN, Geneve, GRE, ERSPAN, GTP-U and IP in IP replace those that carry them. If not
    `decoded`, which may change between batches, packets have only time, place, lengths, interface and flags. `more`
    is called at the end of the file: it waits, and returns True if the file may have grown. `opened` is read instead
    of the file of this name. Raises TargetError if the file cannot be opened. Iteration raises FormatError where the
    file is damaged, after the batches before that.
    """

    def __init__(
        self,
        name: str,
        inner: bool = False,
        decoded: bool = True,
        more: Callable[[], bool] | None = None,
        opened: IO[bytes] | None = None,
    ) -> None:
        self._inner, self.decoded, self._more = inner, decoded, more
        self.name = "standard input" if name == "-" else name
        self.packets = 0
        self._known = np.empty(0, np.int64)
        self._events: list[int] = []
        try:
            self._file: IO[bytes] = opened or (sys.stdin.buffer if name == "-" else open(name, "rb"))  # noqa: SIM115
            regular = os.path.isfile(name)
        except OSError as error:
            raise TargetError(f"{name} cannot be read: {error.strerror}") from None
        self.size = os.path.getsize(name) if regular else None
        self.description = Reader(self.name)
        self._content = _plain(self._file)

    def __enter__(self) -> "CaptureFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def position(self) -> int:
        """Bytes of a regular file that were read so far."""
        return self._file.tell()

    def __iter__(self) -> Iterator[Batch]:
        # Packets from a pipe are shown before more are waited for.
        if self.size is None or self.size < _WORTH_A_THREAD or self._more is not None:
            return self._batches(1)
        return ahead(self._batches(_AHEAD), _AHEAD)

    def _batches(self, most: int) -> Iterator[Batch]:
        """Return batches; each is valid until the batch `most` places later is requested."""
        pieces = deque(np.empty(_PIECE, np.uint8) for _ in range(most))
        tables = deque(np.zeros(_BATCH, PACKET) for _ in range(most))
        plain = self.size is not None and self._content is self._file
        at = filled = 0
        while True:
            buffer = pieces[0]
            got = self._read_into(buffer.data[filled:])
            filled += got
            more, before = False, self.packets
            while not more:
                position = self.description.position if plain else -1
                at, count, more = self.description.take(buffer, at, filled, tables[0])
                if count:
                    if self.decoded:
                        self._decode(buffer, tables[0][:count])
                    self.packets += count
                    yield Batch(buffer, tables[0][:count], position, bool(self._events))
                    tables.rotate()
            left = filled - at
            if not got and not (self._more is not None and self._more()):
                self.description.end(left)
                return
            if self.packets > before:  # a piece without packets is reused at once: the other pieces may be in use
                pieces.rotate()
            if left >= len(pieces[0]):
                pieces[0] = np.empty(2 * left, np.uint8)
            pieces[0][:left] = buffer[at:filled]
            at, filled = 0, left

    def _decode(self, data: Bytes, packets: Table) -> None:
        decode(data, self._links(), packets, self.packets + 1)
        mark_events(packets, self._events)
        if self._inner:
            unwrap(data, packets)

    def _read_into(self, room: memoryview) -> int:
        try:
            return int(self._content.readinto(room))
        except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
            raise FormatError(
                f"the rest of {self.name} cannot be decompressed: {error}; "
                f"{format_count(self.packets, 'packet was', 'packets were')} read before that"
            ) from None
        except OSError as error:
            raise TargetError(f"{self.name} cannot be read: {error.strerror}") from None

    def _links(self) -> Any:
        """Return the link type of each interface, int64; built again only after new interfaces."""
        interfaces = self.description.interfaces
        if len(self._known) < len(interfaces):
            links = [interface.link for interface in interfaces]
            if not any(link in LINK_TYPES for link in links):
                supported = dict.fromkeys(LINK_NAMES[link] for link in sorted(LINK_TYPES))
                raise FormatError(
                    f"{self.name} has packets of link type {link_name(links[0])}, which is not supported; supported "
                    f"are {', '.join(supported)}"
                )
            self._known = np.array(links, np.int64)
            self._events = [number for number, interface in enumerate(interfaces) if is_of_events(interface)]
        return self._known


def _plain(file: IO[bytes]) -> Any:
    """Return the content of a file, decompressed if it is compressed."""
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)  # type: ignore[type-var]
    start = buffered.peek(4)[:4]
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=buffered)
    if start == _ZSTD:
        return zstandard.ZstdDecompressor().stream_reader(buffered, read_across_frames=True)
    return buffered
