"""Packets of captures, and what the captures say about them -> the bytes of a new pcapng file.

All interfaces and names that were read so far are in the file before the packets, with the numbers that they have in
the description. Statistics are not: they count packets that were not chosen.
"""

import sys
from collections.abc import Iterator
from importlib.metadata import version
from itertools import islice

import numpy as np

from capture.analysis.packets.packet_table import PACKET
from capture.analysis.packets.reading import Batch
from capture.pcapng import blocks
from capture.pcapng.compiled.rewrite import FIXED, packet_blocks
from capture.pcapng.compiled.scan import BIG
from capture.pcapng.describe import Description

_BIG = sys.byteorder == "big"


class Excerpt:
    """The blocks of a file with chosen packets; `why` says in its comment how they were chosen."""

    def __init__(self, description: Description, why: str) -> None:
        self._description, self._why = description, why
        self._begun = False
        self._interfaces = self._names = 0
        self._words = np.zeros(1 << 18, np.uint32)
        self.packets = 0

    def blocks(self, batch: Batch) -> Iterator[bytes | memoryview]:
        """Return the blocks of packets, after those that describe them. The memory is reused by the next call."""
        yield from self.described()
        rows = batch.packets
        room = len(rows) * (FIXED + 4) + int(
            (rows["captured"].astype(np.int64) + 3 + (rows["options"] & (BIG - 1))).sum()
        )
        if room > self._words.nbytes:
            self._words = np.zeros(room // 4 + 1, np.uint32)
        out = self._words.view(np.uint8)
        used = packet_blocks(batch.data, rows, self._words, out, _BIG)
        self.packets += len(rows)
        yield out.data[:used]

    def described(self) -> Iterator[bytes]:
        """Return the blocks of what was described since the last call; first of all the file's header."""
        described = self._description
        if not self._begun:
            self._begun = True
            section = described.section
            yield blocks.section_header(
                hardware=section.hardware,
                os=section.os,
                application=f"bicap {version('bicap')}",
                comment=self._why,
                more=section.comments,
            )
        for one in described.interfaces[self._interfaces :]:
            yield blocks.foreign_interface(one.link, one.snaplen, one.name, one.options)
        self._interfaces = len(described.interfaces)
        if len(described.names) > self._names:
            yield blocks.names(dict(islice(described.names.items(), self._names, None)))
            self._names = len(described.names)


def compiled() -> None:
    """Compile the loop that writes blocks, or load it from the cache."""
    words = np.zeros(16, np.uint32)
    packet_blocks(np.zeros(1, np.uint8), np.zeros(0, PACKET), words, words.view(np.uint8), _BIG)
