"""Sessions -> a pcapng file with their packets, as bytes; the command lines that say the same."""

from collections.abc import Iterable, Iterator

import numpy as np

from capture.views.excerpt import Excerpt
from capture.web.conversations import Conversations
from capture.web.opened import Opened


def as_pcapng(opened: Opened, conversations: Conversations, sessions: Iterable[int]) -> Iterator[bytes]:
    """Return the blocks of a file with the packets of these sessions."""
    chosen = sorted(set(sessions))
    numbers = np.unique(np.concatenate([opened.numbers_of(session) for session in chosen]))
    words = " ".join(f"--session {session}" for session in chosen)
    excerpt = Excerpt(opened.description, f"chosen by bicap web from {opened.name}: {words}")
    for batch in conversations.only(numbers):
        for block in excerpt.blocks(batch):
            yield bytes(block)
