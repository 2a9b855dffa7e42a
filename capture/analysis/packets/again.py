"""A file that was read once -> some of its packets again, without reading the others.

While the file is read, `Places` keeps where each batch begins. Reading again seeks to the batches that are wanted,
which only a plain file of one section allows: where it does not, the file is read from its start.
"""

from collections.abc import Iterator

import numpy as np

from capture.analysis.packets.compiled.decode import decode
from capture.analysis.packets.compiled.tunnels import unwrap
from capture.analysis.packets.packet_table import PACKET
from capture.analysis.packets.reading import Batch
from capture.arrays.aliases import Longs
from capture.pcapng.reader import Reader

_PIECE, _ROWS = 1 << 20, 1 << 12


class Places:
    """Numbers of the first packets of batches, and the bytes at which they begin."""

    def __init__(self) -> None:
        self.packets: list[int] = []
        self.bytes: list[int] = []
        self.usable = True

    def add(self, batch: Batch) -> None:
        """Keep the place of a batch; batches come in order."""
        if batch.position < 0:
            self.usable = False
        elif self.usable:
            self.packets.append(int(batch.packets["number"][0]))
            self.bytes.append(batch.position)

    def runs(self, numbers: Longs) -> Iterator[tuple[int, int, int]]:
        """Return (byte, first packet there, last wanted packet) of stretches that hold these sorted numbers."""
        firsts = np.array(self.packets, np.int64)
        wanted = np.unique(np.searchsorted(firsts, numbers, "right") - 1)
        stops = np.flatnonzero(np.diff(wanted) > 1)
        for low, high in zip(np.r_[0, stops + 1].tolist(), np.r_[stops, len(wanted) - 1].tolist(), strict=True):
            begin, end = int(wanted[low]), int(wanted[high])
            last = int(firsts[end + 1]) - 1 if end + 1 < len(firsts) else int(numbers[-1])
            yield self.bytes[begin], int(firsts[begin]), min(last, int(numbers[-1]))


def read_again(name: str, reader: Reader, places: Places, numbers: Longs, inner: bool) -> Iterator[Batch]:
    """Return batches that hold at least the packets with these sorted numbers, in order.

    `reader` has read the file once. A batch is valid until the next one. Raises FormatError, OSError.
    """
    links = np.array([interface.link for interface in reader.interfaces], np.int64)
    with open(name, "rb") as file:
        for position, first, last in places.runs(numbers):
            state = reader.resumed(position, first - 1) if position else Reader(name)
            file.seek(position)
            buffer, table = np.empty(_PIECE, np.uint8), np.zeros(_ROWS, PACKET)
            at = filled = 0
            while first <= last:
                got = file.readinto(buffer.data[filled:])
                filled += got
                more = False
                while not more and first <= last:
                    at, count, more = state.take(buffer, at, filled, table)
                    if count:
                        rows = table[:count]
                        decode(buffer, links, rows, first)
                        if inner:
                            unwrap(buffer, rows)
                        first += count
                        yield Batch(buffer, rows)
                if not got:
                    break
                left = filled - at
                if left >= len(buffer):
                    grown = np.empty(2 * left, np.uint8)
                    grown[:left] = buffer[at:filled]
                    buffer = grown
                else:
                    buffer[:left] = buffer[at:filled].copy()
                at, filled = 0, left
