"""A spec -> the packets and bytes that the loop may still write, and the ends of files and of the capture.

Limits of packets and bytes are exact: the loop stops at the packet. Files rotate by the times of packets.
"""

import numpy as np

from capture.spec import CaptureSpec
from capture.stream.compiled import merge

NO_LIMIT = 1 << 62
"""Packets, bytes or ns that are never reached."""


class Limits:
    """The state of the loop, and the limit that ended the capture.

    `state` is [STATE_SLOTS], int64; see the slots in merge. It is written here and by merge().
    """

    def __init__(self, spec: CaptureSpec) -> None:
        self._spec = spec
        self.state = np.zeros(merge.STATE_SLOTS, np.int64)
        for slot, limit in (
            (merge.LEFT, spec.count),
            (merge.LEFT_FORWARD, spec.count_forward),
            (merge.LEFT_REVERSE, spec.count_reverse),
            (merge.BYTES_LEFT, spec.max_bytes),
        ):
            self.state[slot] = limit or NO_LIMIT
        self._file_ends_ns = self._ordered_ns = NO_LIMIT
        self.ended_by_order = False
        """True if the latest file that was over ended because of `end_file_at`."""

    def end_file_at(self, at_ns: int | None) -> None:
        """Let the next file have the packets from this time on (CLOCK_MONOTONIC); it replaces an earlier order.

        A file that has no packets ends then, too. Packets from then on that were written already stay where they are.
        """
        self._ordered_ns = NO_LIMIT if at_ns is None else at_ns

    def file_begins(self, overhead: int, now_ns: int) -> bool:
        """Begin a file that has `overhead` bytes besides packets, at `now_ns` (CLOCK_MONOTONIC).

        Returns False if the limits leave no room for it; then the size limit is reached.
        """
        left = int(self.state[merge.BYTES_LEFT]) - overhead
        if left < merge.SMALLEST_BLOCK:
            self.nothing_more()
            return False
        self.state[merge.BYTES_LEFT] = left
        self.state[merge.FILE_LEFT] = (self._spec.storage.file_bytes or NO_LIMIT) - overhead
        self.state[merge.FILE_PACKETS] = self.state[merge.FILE_FULL] = 0
        if self._spec.storage.file_ns:
            self._file_ends_ns = now_ns + self._spec.storage.file_ns
        return True

    def reserve(self, overhead: int) -> bool:
        """Take `overhead` bytes for blocks that are not packets from this file and from all.

        Returns False if the limits leave no room for them; then the size limit is reached.
        """
        if int(self.state[merge.BYTES_LEFT]) - overhead < merge.SMALLEST_BLOCK:
            self.nothing_more()
            return False
        self.state[merge.BYTES_LEFT] -= overhead
        self.state[merge.FILE_LEFT] -= overhead
        return True

    def make_room(self, size: int) -> None:
        """Let the file be over if it has no room for so many bytes."""
        if not self.state[merge.REACHED] and int(self.state[merge.FILE_LEFT]) < size:
            self.state[merge.FILE_FULL] = 1

    def final_in_file(self, final_ns: int) -> int:
        """Return the time before which records are final and belong to this file.

        After a limit is reached, the end of the file does not matter: packets are only counted.
        """
        return final_ns if self.state[merge.REACHED] else min(final_ns, self._file_ends_ns, self._ordered_ns)

    def no_more_files(self) -> None:
        """Stop files: the output has failed, further packets are only counted, and no end of a file delays them."""
        self.state[merge.FILE_LEFT] = self._file_ends_ns = self._ordered_ns = NO_LIMIT
        self.state[merge.FILE_FULL] = 0

    def nothing_more(self) -> None:
        """Stop writing: the output must not grow, and packets that are still in rings are over the limit."""
        self.state[merge.REACHED] = self.state[merge.REACHED] or merge.BYTES_LEFT

    def file_is_over(self, written_until_ns: int) -> bool:
        """True if the next file should begin, given that packets before that time are written.

        An empty file whose time is over is continued instead, until a later end, unless it was ordered to end.
        """
        self.ended_by_order = False
        if self.state[merge.REACHED]:
            return False
        if self.file_is_full:  # the packets before an order may be in the next file
            return True
        if written_until_ns >= self._ordered_ns:
            self._ordered_ns, self.ended_by_order = NO_LIMIT, True
            return True
        if written_until_ns < self._file_ends_ns:
            return False
        if self.state[merge.FILE_PACKETS]:
            return True
        file_ns = self._spec.storage.file_ns or NO_LIMIT
        self._file_ends_ns += (written_until_ns - self._file_ends_ns) // file_ns * file_ns + file_ns
        return False

    @property
    def file_is_full(self) -> bool:
        """True if the next packet has no room in this file."""
        return bool(self.state[merge.FILE_FULL])

    @property
    def late(self) -> int:
        """Packets so far that got the time of the one before them."""
        return int(self.state[merge.LATE])

    @property
    def reached(self) -> str | None:
        """The limit that was reached, as the reason for the end; None if none was."""
        return {
            merge.LEFT: "count reached",
            merge.LEFT_FORWARD: "count of forward packets reached",
            merge.LEFT_REVERSE: "count of reverse packets reached",
            merge.BYTES_LEFT: "size reached",
        }.get(int(self.state[merge.REACHED]))
