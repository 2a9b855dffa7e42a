"""Numbers of sessions -> their exchanges, read from the file again; the last few are kept, up to a size."""

import threading
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from capture.analysis.exchange.packets_of import Exchange, exchange
from capture.analysis.packets.again import read_again
from capture.analysis.packets.merged import open_captures
from capture.analysis.packets.reading import Batch
from capture.arrays.aliases import Longs
from capture.arrays.rows import picked
from capture.errors import FormatError, SpecError
from capture.pcapng.reader import Reader
from capture.units import format_count
from capture.web.opened import Opened

_KEPT_BYTES = 512 << 20
_KEPT = 8


class KeptExchanges:
    """KeptExchanges of one capture."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._kept: OrderedDict[tuple[int, int], Exchange] = OrderedDict()
        self._reading = threading.Lock()

    def check(self, session: int) -> None:
        """Raise SpecError if there is no such session."""
        if not 1 <= session <= self._opened.count:
            sessions = format_count(self._opened.count, "session")
            raise SpecError(f"there is no session {session}; the file has {sessions}")

    def get(self, session: int) -> Exchange:
        """Return a session's exchange. Raises SpecError, FormatError."""
        self.check(session)
        with self._reading:
            wanted = self._opened.numbers_of(session)
            key = session, len(wanted)
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
            for old in [old for old in self._kept if old[0] == session]:
                del self._kept[old]
            made = exchange(session, self.batches(wanted), wanted)
            if len(made) < len(wanted) or not len(wanted):
                raise FormatError(
                    f"{self._opened.name} has changed since it was read: {len(wanted) - len(made):,} of "
                    f"{format_count(len(wanted), 'packet')} of session {session} cannot be found again; open it again"
                )
            self._kept[key] = made
            while len(self._kept) > _KEPT or (
                len(self._kept) > 1 and sum(one.bytes_held for one in self._kept.values()) > _KEPT_BYTES
            ):
                self._kept.popitem(last=False)
            return made

    def batches(self, numbers: Longs) -> Iterator[Batch]:
        """Return batches that hold the packets with these sorted numbers; other packets may be in them."""
        opened = self._opened
        if not len(numbers):
            return
        description = opened.description
        if (
            len(opened.files) == 1
            and opened.places.usable
            and isinstance(description, Reader)
            and description.sections <= 1
        ):
            yield from read_again(opened.files[0], description, opened.places, numbers, opened.inner)
            return
        with open_captures(opened.words, opened.inner) as capture:
            for batch in capture:
                if int(batch.packets["number"][-1]) >= int(numbers[0]):
                    yield batch
                if int(batch.packets["number"][-1]) >= int(numbers[-1]):
                    return

    def only(self, numbers: Longs) -> Iterator[Batch]:
        """Return batches with exactly these packets."""
        for batch in self.batches(numbers):
            mine = np.isin(batch.packets["number"], numbers)
            if mine.any():
                yield Batch(batch.data, picked(batch.packets, mine))
