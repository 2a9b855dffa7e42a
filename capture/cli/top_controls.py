"""Keys in the picture of live sessions -> what it shows: an order, a filter, a line, one session, or a pause.

Pure: whoever reads keys calls `press`, whoever draws reads the fields.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capture.analysis.query.conditions import Filter
from capture.errors import SpecError

ORDERS = ("byte_rate", "packet_rate", "retransmitted", "first_byte_mean_ns", "duration_ns", "bytes")
"""Columns by which `s` orders, one after the other."""
KEYS = "q end  p pause  s order  / filter  up/down choose  Enter follow  Esc all"
_KEY = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|.", re.DOTALL)
_UP, _DOWN, _ENTER, _ESCAPE, _ERASE = ("\x1b[A", "k"), ("\x1b[B", "j"), ("\r", "\n"), "\x1b", ("\x7f", "\b")


def keys_of(text: str) -> Iterator[str]:
    """Yield the keys of what a terminal sent: letters, and the sequences of arrows as one each."""
    yield from _KEY.findall(text)


@dataclass(slots=True)
class TopControls:
    """What the user has chosen so far."""

    order: str
    paused: bool = False
    over: bool = False
    chosen: int = 0
    """Number of the chosen line, from 0."""
    followed: int | None = None
    """Number of the session that is shown alone."""
    filters: tuple[Filter, ...] = ()
    typed: str | None = None
    """The filter that is being typed; None while none is."""
    trouble: str = ""
    """Why the last key did nothing."""

    def press(self, key: str, shown: Sequence[int]) -> None:
        """Take a key; `shown` are the numbers of the sessions in the picture."""
        self.trouble = ""
        if self.typed is not None:
            self._type(key)
        elif key == "q":
            self.over = True
        elif key == "p":
            self.paused = not self.paused
        elif key == "s":
            at = ORDERS.index(self.order) if self.order in ORDERS else -1
            self.order = ORDERS[(at + 1) % len(ORDERS)]
        elif key == "/":
            self.typed = " ".join(one.text for one in self.filters)
        elif key in _UP or key in _DOWN:
            step = -1 if key in _UP else 1
            self.chosen = max(0, min(self.chosen + step, len(shown) - 1))
        elif key in _ENTER and self.followed is None and self.chosen < len(shown):
            self.followed = shown[self.chosen]
        elif key == _ESCAPE:
            self.followed, self.filters = None, self.filters if self.followed is not None else ()

    def _type(self, key: str) -> None:
        assert self.typed is not None
        if key in _ENTER:
            try:
                self.filters = tuple(Filter(word, "filter") for word in self.typed.split())
            except SpecError as error:
                self.trouble = str(error)
                return
            self.typed, self.chosen = None, 0
        elif key == _ESCAPE:
            self.typed = None
        elif key in _ERASE:
            self.typed = self.typed[:-1]
        elif len(key) == 1 and key.isprintable():
            self.typed += key

    @property
    def conditions(self) -> tuple[Filter, ...]:
        """The sessions to show."""
        if self.followed is not None:
            return (Filter(f"session={self.followed}"),)
        return self.filters
