"""The source of packets for the loop: rings in memory, and batches that wait to enter them.

The kernel's rings are one source (kernel.records), rings that a test fills are another. No I/O here.
"""

from dataclasses import dataclass
from typing import Protocol

from capture.arrays.aliases import Longs, Words


@dataclass(frozen=True, slots=True)
class RingMemory:
    """Rings of one size, one after the other, then the overflow ring, in one range of memory that both views show.

    A ring is a control page (struct perf_event_mmap_page), then its data: a power of two of bytes, in which positions
    wrap. The producer writes `data_head` in the page, the reader `data_tail`; both count bytes since the start and
    never wrap. The data is read-only to the reader.

    The overflow ring takes what a ring has no room for (kernel/bpf/ringbuf.c). It has two pages, which begin with the
    reader's position and the producers', then its data. A record of it is its length with two flags and a word of the
    kernel's, then struct overflow_run and blocks.
    """

    words: Words
    """[bytes / 4], uint32, for runs of blocks. Written by the producer."""
    longs: Longs
    """[bytes / 8], int64, for heads and tails. `data_tail` is written by the reader, all else by the producer."""
    stride: int
    """Bytes of one ring with its page."""
    page: int
    """Bytes of a page."""
    overflow_bytes: int = 0
    """Bytes of the overflow ring's data; 0: there is none."""

    @property
    def rings(self) -> int:
        overflow = 2 * self.page + self.overflow_bytes if self.overflow_bytes else 0
        return (len(self.longs) * 8 - overflow) // self.stride

    @property
    def lanes(self) -> int:
        """Sequences of runs in order of time: each ring, and what each ring's CPU put into the overflow ring."""
        return self.rings * (2 if self.overflow_bytes else 1)

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
        """Record how far each sequence is filled and read: both [lanes], int64, bytes since the start; now_ns
        monotonic."""
