"""Addresses with their groups -> entries of the groups map, which can be replaced while programs run."""

from collections.abc import Mapping

import numpy as np

from capture.abi import GROUP_KEY
from capture.errors import SpecError
from capture.filters.rule import Address
from capture.kernel.entries import Entries

_IPV4_MAPPED = 0xFFFF << 32


def group_key(address: Address) -> bytes:
    """Return an address as struct group_key."""
    number = int(address) | (_IPV4_MAPPED if address.version == 4 else 0)
    return np.array((number >> 64, number & (1 << 64) - 1), GROUP_KEY).tobytes()


class GroupsMap:
    """The groups map of a running capture; any thread may change it."""

    def __init__(self, map_fd: int, room: int) -> None:
        self._entries, self._room = Entries(map_fd), room

    def replace(self, groups: Mapping[Address, int]) -> None:
        """Make the map hold exactly these: for each address a set of bits (enum group). Raises SpecError."""
        if len(groups) > self._room:
            raise SpecError(f"pods and node have {len(groups):,} addresses; at most {self._room:,} are possible")
        self._entries.replace({group_key(a): np.uint64(bits).tobytes() for a, bits in groups.items()})
