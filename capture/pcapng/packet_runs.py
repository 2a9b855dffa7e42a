"""Blocks of several nodes, each in order of time -> one run of blocks after the other, in order of time.

The problem. A file in order of time has the packets of all nodes, and the streams of nodes come in pieces, of which
each may be long while others are silent.

The invariant: a run is written only up to the time of the earliest packet that another origin holds, and up to
`limit_ns`, before which no packet can come any more. So the output is in order of time if each origin is; an origin
that is not is taken as it is, and `behind` counts its packets.

The cost: one look at the header of each block, and one heap operation per run. Runs are copied whole; only where the
numbers of interfaces differ is a word of each block replaced.
"""

import heapq
import struct
from collections import deque
from collections.abc import Iterator, Sequence

from capture.errors import FormatError
from capture.pcapng import blocks
from capture.pcapng.joined_section import JoinedSection, check_order

_NUMBER = struct.Struct(blocks.BYTE_ORDER + "I")
RUN_MAX = 1 << 20
"""Most bytes of a run."""
EVER = 1 << 64
"""A time after all packets."""

Buffer = bytes | memoryview


class PacketOrigin:
    """The blocks of one node, or of one file of it, as they come."""

    def __init__(self, section: JoinedSection, node: str, name: str = "") -> None:
        self.node, self.name = node, name or node
        self.packets = 0
        """Number of packets that were taken."""
        self.behind = 0
        """Number of those that were earlier than the one before them."""
        self.last_ns = 0
        """Latest time of a packet that was taken."""
        self._section = section
        self._numbers: list[int] = []
        self._buffers: deque[Buffer] = deque()
        self._at = 0
        self._head: int | None = None
        self._started = False

    def feed(self, data: Buffer) -> None:
        """Add whole blocks."""
        if len(data):
            self._buffers.append(data)

    @property
    def held(self) -> int:
        """Number of bytes that were added and not taken."""
        return sum(map(len, self._buffers)) - self._at

    def head_ns(self) -> int | None:
        """Return the time of the next packet; None if there is none yet. Blocks before it are taken in."""
        while self._head is None and self._buffers:
            data = self._buffers[0]
            if self._at >= len(data):
                self._buffers.popleft()
                self._at = 0
            else:
                self._look(data)
        return self._head

    def _look(self, data: Buffer) -> None:
        """Take in the block at the position, or find that it is a packet."""
        kind, length = self._block(data, self._at)
        if kind == blocks.ENHANCED_PACKET:
            _, _, _, high, low = blocks.PACKET_HEAD.unpack_from(data, self._at)
            self._head = blocks.time_of(high, low)
            return
        whole = bytes(data[self._at : self._at + length])
        body = whole[8:-4]
        if kind == blocks.SECTION_HEADER:
            check_order(body, self.name)
            self._started, self._numbers = True, []
        elif kind == blocks.INTERFACE_DESCRIPTION:
            self._numbers.append(self._section.interface(self.node, body))
        elif kind == blocks.NAME_RESOLUTION:
            self._section.names(whole)
        elif kind == blocks.INTERFACE_STATISTICS and len(body) >= 12:
            self._section.statistics(body, self._numbers)
        self._at += length

    def _block(self, data: Buffer, at: int) -> tuple[int, int]:
        left = len(data) - at
        kind, length = blocks.HEAD.unpack_from(data, at) if left >= 12 else (0, 0)
        smallest = {
            blocks.ENHANCED_PACKET: 32,
            blocks.SECTION_HEADER: 28,
            blocks.INTERFACE_DESCRIPTION: 20,
        }.get(kind, 12)
        if length < smallest or length % 4 or length > left or not (self._started or kind == blocks.SECTION_HEADER):
            raise FormatError(f"{self.name} is damaged: {left:,} bytes of it are not whole blocks of a section")
        return kind, length

    def run(self, limit_ns: int) -> Iterator[bytes]:
        """Yield the packets up to this time, at most about RUN_MAX bytes; blocks that describe them come first."""
        head = self.head_ns()
        if head is None or head > limit_ns:
            return
        described = self._section.take()
        if described:
            yield described
        data, start, at = self._buffers[0], self._at, self._at
        numbers, last = self._numbers, self.last_ns
        end, patches = min(len(data), start + RUN_MAX), []
        while at < end:
            if len(data) - at < 32:
                break
            kind, length, interface, high, low = blocks.PACKET_HEAD.unpack_from(data, at)
            if kind != blocks.ENHANCED_PACKET:
                break
            ns = high << 32 | low
            if ns > limit_ns:
                break
            if interface >= len(numbers):
                raise FormatError(f"{self.name} has a packet of an interface that is not described")
            if length < 32 or length % 4 or length > len(data) - at:
                self._block(data, at)  # raises
            if numbers[interface] != interface:
                patches.append((at - start + 8, numbers[interface]))
            self.packets += 1
            if ns < last:
                self.behind += 1
            else:
                last = ns
            at += length
        self._at, self._head, self.last_ns = at, None, last
        if not patches:
            yield bytes(data[start:at])
            return
        patched = bytearray(data[start:at])
        for position, number in patches:
            _NUMBER.pack_into(patched, position, number)
        yield bytes(patched)


def merged(origins: Sequence[PacketOrigin], limit_ns: int = EVER) -> Iterator[bytes]:
    """Yield the packets of all origins up to this time, in order of time."""
    heads = [(head, number) for number, origin in enumerate(origins) if (head := origin.head_ns()) is not None]
    heap = [found for found in heads if found[0] <= limit_ns]
    heapq.heapify(heap)
    while heap:
        _, number = heapq.heappop(heap)
        yield from origins[number].run(min(limit_ns, heap[0][0]) if heap else limit_ns)
        head = origins[number].head_ns()
        if head is not None and head <= limit_ns:
            heapq.heappush(heap, (head, number))
