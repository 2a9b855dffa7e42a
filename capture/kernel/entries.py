"""Wanted keys and values -> the changes that make a hash map hold just them, while programs look into it."""

import threading
from collections.abc import Mapping

from capture.kernel import syscall


class Entries:
    """The entries of a map that nobody else changes; any thread may call."""

    def __init__(self, map_fd: int) -> None:
        self._map_fd = map_fd
        self._held: dict[bytes, bytes] = {}
        self._changing = threading.Lock()

    def replace(self, wanted: Mapping[bytes, bytes]) -> tuple[int, int]:
        """How many were added or changed, and how many taken away. What stays is not touched."""
        with self._changing:
            gone = [key for key in self._held if key not in wanted]
            come = [key for key, value in wanted.items() if self._held.get(key) != value]
            for key in gone:  # first: a full map has room for what comes
                syscall.map_delete(self._map_fd, key)
            for key in come:
                syscall.map_update(self._map_fd, key, wanted[key])
            self._held = dict(wanted)
        return len(come), len(gone)
