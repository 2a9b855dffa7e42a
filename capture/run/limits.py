"""A spec -> what the loop over packets may still write, and when a capture begins, rotates and ends.

Counts and bytes are exact: the loop stops at the packet. Times are those of packets where files rotate.
"""

import numpy as np

from capture.spec import CaptureSpec
from capture.stream.compiled import merge

NO_LIMIT = 1 << 62


class Limits:
    """The state of the loop, and the reason that a limit gives for the end."""

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
        self._file_ends_ns = NO_LIMIT

    def file_begins(self, overhead: int, now_ns: int) -> bool:
        """Whether there is room for one more file with so many bytes that are not packets; monotonic time."""
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

    def interfaces_come(self, overhead: int) -> bool:
        """Whether there is room for so many bytes more that are not packets, in this file and of all."""
        if int(self.state[merge.BYTES_LEFT]) - overhead < merge.SMALLEST_BLOCK:
            self.nothing_more()
            return False
        self.state[merge.BYTES_LEFT] -= overhead
        self.state[merge.FILE_LEFT] -= overhead
        return True

    def final_in_file(self, final_ns: int) -> int:
        """The part of what is final that belongs to this file; after a limit that is all: it is only counted."""
        return final_ns if self.state[merge.REACHED] else min(final_ns, self._file_ends_ns)

    def no_more_files(self) -> None:
        """The output takes nothing any more: what comes is only counted, and no end of a file holds it back."""
        self.state[merge.FILE_LEFT] = self._file_ends_ns = NO_LIMIT
        self.state[merge.FILE_FULL] = 0

    def nothing_more(self) -> None:
        """The output must not grow: what rings still hold is over the limit."""
        self.state[merge.REACHED] = self.state[merge.REACHED] or merge.BYTES_LEFT

    def file_is_over(self, written_until_ns: int) -> bool:
        """Whether the next file begins, once packets before that time are written. Empty files go on."""
        if self.state[merge.REACHED]:
            return False
        if self.state[merge.FILE_FULL]:
            return True
        if written_until_ns < self._file_ends_ns:
            return False
        if self.state[merge.FILE_PACKETS]:
            return True
        file_ns = self._spec.storage.file_ns or NO_LIMIT
        self._file_ends_ns += (written_until_ns - self._file_ends_ns) // file_ns * file_ns + file_ns
        return False

    @property
    def reached(self) -> str | None:
        """The limit that ends the capture."""
        return {
            merge.LEFT: "count reached",
            merge.LEFT_FORWARD: "count of forward packets reached",
            merge.LEFT_REVERSE: "count of reverse packets reached",
            merge.BYTES_LEFT: "size reached",
        }.get(int(self.state[merge.REACHED]))
