"""Keys and values -> the changes after which a hash map holds exactly them, made while programs read the map."""

import threading
from collections.abc import Mapping

from capture.kernel import syscall


class Entries:
    """The entries of a map that nobody else changes. Any thread may call the methods."""

    def __init__(self, map_fd: int) -> None:
        self._map_fd = map_fd
        self._held: dict[bytes, bytes] = {}
        self._changing = threading.Lock()

    def replace(self, wanted: Mapping[bytes, bytes]) -> tuple[int, int]:
        """Make the map hold `wanted`; entries that are equal already are not written.

        Returns the number of entries added or changed, and the number removed.
        """
        with self._changing:
            removed = [key for key in self._held if key not in wanted]
            changed = [key for key, value in wanted.items() if self._held.get(key) != value]
            for key in removed:  # first, so that a full map has room
                syscall.map_delete(self._map_fd, key)
            for key in changed:
                syscall.map_update(self._map_fd, key, wanted[key])
            self._held = dict(wanted)
        return len(changed), len(removed)
