"""Sessions -> a pcapng file with their packets, as blocks of bytes."""

from collections.abc import Iterable, Iterator

import numpy as np

from capture.views.excerpt import Excerpt
from capture.web.kept_exchanges import KeptExchanges
from capture.web.opened import Opened


def as_pcapng(opened: Opened, exchanges: KeptExchanges, sessions: Iterable[int]) -> Iterator[bytes]:
    """Return the blocks of a file with the packets of these sessions."""
    chosen = sorted(set(sessions))
    numbers = np.unique(np.concatenate([opened.numbers_of(session) for session in chosen]))
    words = " ".join(f"--session {session}" for session in chosen)
    excerpt = Excerpt(opened.description, f"chosen by bicap web from {opened.name}: {words}")
    for batch in exchanges.only(numbers):
        for block in excerpt.blocks(batch):
            yield bytes(block)
