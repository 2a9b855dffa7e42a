"""Exact conversations -> entries of the conversations map, which can be replaced while the capture runs."""

from collections.abc import Sequence

import numpy as np

from capture.abi import CONVERSATION_KEY, HIGH_IS_SOURCE, LOW_IS_SOURCE
from capture.errors import SpecError
from capture.filters.conversations import Conversation
from capture.kernel.entries import Entries


def entries(conversations: Sequence[Conversation]) -> dict[bytes, bytes]:
    """Return the map's entries for conversations: key (struct conversation_key) -> value (enum source_side)."""
    keys = np.zeros(len(conversations), CONVERSATION_KEY)
    columns = [
        (c.family, c.protocol, *_words(c.canonical.source), *_words(c.canonical.destination)) for c in conversations
    ]
    if columns:
        table = np.array(columns, np.uint64)
        for at, name in enumerate(("family", "protocol")):
            keys[name] = table[:, at]
        for at, name in enumerate(("low", "high")):
            keys[f"{name}_address"] = table[:, 2 + 3 * at : 4 + 3 * at]
            keys[f"{name}_port"] = table[:, 4 + 3 * at]
    source_sides: dict[bytes, int] = {}
    for key, conversation in zip(keys, conversations, strict=True):
        side = LOW_IS_SOURCE if conversation.canonical is conversation else HIGH_IS_SOURCE
        raw = key.tobytes()
        source_sides[raw] = source_sides.get(raw, 0) | side
    return {raw: np.uint32(sides).tobytes() for raw, sides in source_sides.items()}


def _words(side: tuple[int, int]) -> tuple[int, int, int]:
    address, port = side
    return address >> 64, address & (1 << 64) - 1, port


class ConversationsMap:
    """The conversations map of a running capture; packets are matched meanwhile. It always holds `always`."""

    def __init__(self, map_fd: int, room: int, always: Sequence[Conversation] = ()) -> None:
        self._entries, self._room, self._always = Entries(map_fd), room, always

    def replace(self, conversations: Sequence[Conversation]) -> tuple[int, int]:
        """Make the map hold `always` and these; any thread may call it. Raises SpecError if they are too many.

        Returns the numbers of conversations added and removed.
        """
        wanted = entries([*self._always, *conversations])
        if len(wanted) > self._room:
            raise SpecError(f"{len(wanted):,} conversations are too many; at most {self._room:,} are possible")
        return self._entries.replace(wanted)
