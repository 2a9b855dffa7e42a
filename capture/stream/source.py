"""The source of packets for the loop: rings in memory, and batches that wait to enter them.

The kernel's rings are one source (kernel.records), rings that a test fills are another. No I/O here.
"""

from dataclasses import dataclass
from typing import Protocol

from capture.arrays.aliases import Longs, Words


@dataclass(frozen=True, slots=True)
class RingMemory:
    """Rings of one size, one after the other, in one range of memory; both views show all of it.

    A ring is a control page (struct perf_event_mmap_page), then its data: a power of two of bytes, in which positions
    wrap. The producer writes `data_head` in the page, the reader `data_tail`; both count bytes since the start and
    never wrap. The data is read-only to the reader.
    """

    words: Words
    """[bytes / 4], uint32, for runs of blocks. Written by the producer."""
    longs: Longs
    """[bytes / 8], int64, for heads and tails. `data_tail` is written by the reader, all else by the producer."""
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
    """Rings, and batches of packets that wait to enter them."""

    @property
    def memory(self) -> RingMemory:
        """The rings; the same object as long as the source is open."""

    def flush(self, before_ns: int) -> int:
        """Put batches with packets older than `before_ns` (CLOCK_MONOTONIC) into their rings, where these have room.

        Returns the time of the oldest packet that still waits in a batch, or cursors.NEVER.
        """

    def stamp_with(self, wall_offset_ns: int) -> None:
        """Have the runs that begin from now on stamped with this wall-clock minus monotonic time, ns."""

    def report(self, heads: Longs, read: Longs, now_ns: int) -> None:
        """Record how far each ring is filled and read: both [rings], int64, bytes since the start; now_ns
        monotonic."""
