"""The memory of a recorder -> batches of decoded packets, as a capture file gives them, while programs write.

Times of the packets are CLOCK_MONOTONIC. What was overwritten before it was read is counted.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from capture.analysis.packets.compiled.decode import decode
from capture.analysis.packets.packet_table import PACKET
from capture.analysis.packets.reading import Batch
from capture.pcapng import blocks
from capture.pcapng.reader import Reader
from capture.plan import PlannedInterface
from capture.stream.remembered import ChunkArrays, Remembered
from capture.wire.link_types import ETHERNET

_ROWS = 1 << 12
PORTIONS = 32
"""Portions that one call reads at most: 16 MiB."""


class LivePackets:
    """A reader of the memory from `from_ns` on."""

    def __init__(self, memory: ChunkArrays, from_ns: int, interfaces: Sequence[PlannedInterface]) -> None:
        self._remembered = Remembered(memory, from_ns, interfaces=0)
        self._reader, self._table = Reader("the recorder's memory"), np.zeros(_ROWS, PACKET)
        self._known, self._packets = 0, 0
        self._describe(blocks.section_header(hardware="", os="", application="", comment=""))
        self.introduce(interfaces)

    def introduce(self, interfaces: Sequence[PlannedInterface]) -> None:
        """Learn of interfaces that were added; all are given."""
        added = interfaces[self._known :]
        if added:
            self._describe(blocks.interfaces([blocks.InterfaceBlock(one.name) for one in added]))
            self._known = len(interfaces)
            self._links = np.full(self._known, ETHERNET, np.int64)

    def _describe(self, text: bytes) -> None:
        self._reader.take(np.frombuffer(text, np.uint8), 0, len(text), self._table)

    def batches(self, until_ns: int) -> Iterator[Batch]:
        """Return the next packets before a time, at most PORTIONS; each batch is valid until the next."""
        for _ in range(PORTIONS):
            portion = self._remembered.take(until_ns, 0)
            if not len(portion):
                return
            at, more = 0, False
            while not more:
                at, count, more = self._reader.take(portion, at, len(portion), self._table)
                if count:
                    decode(portion, self._links, self._table[:count], self._packets + 1)
                    self._packets += count
                    yield Batch(portion, self._table[:count])

    @property
    def missed(self) -> int:
        """Packets that were overwritten before they were looked at."""
        return self._remembered.overwritten
