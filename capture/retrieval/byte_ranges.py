"""A Range header (RFC 9110) -> the bytes of a file that are sent.

One range is served; several in one request are a reason to ignore the header, as the standard allows.
"""

import re
from dataclasses import dataclass

PIECE_MOST = 8 << 20
"""Most bytes of one answer to a request with a range, and of one answer of an agent."""
_ONE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class WantedRange:
    """What is asked for: from `first` to `last`, to the end if `last` is None, or the `last` bytes if `first` is."""

    first: int | None
    last: int | None

    def within(self, size: int) -> tuple[int, int] | None:
        """Return offset and length for a file of this size, PIECE_MOST at most; None if nothing of it is there."""
        if self.first is None:
            assert self.last is not None
            length = min(self.last, size)
            first = size - length
        else:
            first = self.first
            end = size if self.last is None else min(self.last + 1, size)
            length = end - first
        return (first, min(length, PIECE_MOST)) if length > 0 else None


def parse_range(header: str | None) -> WantedRange | None:
    """Return what the header asks for; None if there is none, or one that means nothing here."""
    found = _ONE.fullmatch("".join((header or "").split()))
    if found is None:
        return None
    first, last = (int(text) if text else None for text in found.groups())
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        return None
    return WantedRange(first, last)
