"""The source of records for the loop over packets: rings in memory, and batches that wait to enter them.

The kernel's rings are one source (kernel.records), rings that a test fills are another. No I/O here.
"""

from dataclasses import dataclass
from typing import Protocol

from capture.arrays.aliases import Longs, Words


@dataclass(frozen=True, slots=True)
class RingMemory:
    """Rings of one size, one after the other, in one range of memory; the three views show all of it.

    A ring is a control page (struct perf_event_mmap_page), then its data: a power of two of bytes, in which positions
    wrap. The producer writes `data_head` in the page, the reader `data_tail`; both count bytes since the start and
    never wrap. The data is read-only to the reader.
    """

    words: Words
    """[bytes / 4], uint32, for records. Written by the producer."""
    longs: Longs
    """[bytes / 8], int64, for heads and tails. `data_tail` is written by the reader, all else by the producer."""
    bytes: memoryview
    """[bytes], uint8, for packets that are written to the output without a copy. Written by the producer."""
    stride: int
    """Bytes of one ring with its page."""
    page: int
    """Bytes of the page."""

    @property
    def rings(self) -> int:
        return len(self.longs) * 8 // self.stride

    @property
    def ring_bytes(self) -> int:
        """Bytes of one ring's data."""
        return self.stride - self.page


class RecordSource(Protocol):
    """Rings, and batches of records that wait to enter them."""

    @property
    def memory(self) -> RingMemory:
        """The rings; the same object as long as the source is open."""

    def flush(self, before_ns: int) -> int:
        """Put batches with records older than `before_ns` (CLOCK_MONOTONIC) into their rings, where these have room.

        Returns the time of the oldest record that still waits in a batch, or merge.NEVER.
        """

    def report(self, heads: Longs, read: Longs, now_ns: int) -> None:
        """Record how far each ring is filled and read: both [rings], int64, bytes since the start; now_ns
        monotonic."""
