"""Times and sizes of packets -> bytes over time, in memory that does not depend on how long the capture is.

Bins have one width, which doubles whenever a packet lies behind the last bin: two bins then become one. So at least
half of them are in use, whatever the span, except if it is shorter than a microsecond for each.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from capture.arrays.aliases import Longs

_BINS = 1 << 12


@dataclass(frozen=True, slots=True)
class Bar:
    """Bytes of a part of the capture; `start_ns` is its begin, `span_ns` its length."""

    start_ns: int
    span_ns: int
    bytes: int

    @property
    def bits_per_second(self) -> float:
        return self.bytes * 8e9 / self.span_ns


class Throughput:
    """Bytes over time. Packets before the first one, by their time, count in the first bin."""

    def __init__(self) -> None:
        self._bytes = np.zeros(_BINS, np.int64)
        self._width_ns = 1000
        self._first_ns: int | None = None
        self._used = 0

    def add(self, times_ns: Longs, sizes: Longs) -> None:
        """Add packets."""
        if self._first_ns is None:
            self._first_ns = int(times_ns[0])
        after = np.maximum(times_ns - self._first_ns, 0)
        while int(after.max()) >= _BINS * self._width_ns:
            self._bytes[: _BINS // 2] = self._bytes[::2] + self._bytes[1::2]
            self._bytes[_BINS // 2 :] = 0
            self._width_ns *= 2
            self._used = -(-self._used // 2)
        bins = after // self._width_ns
        self._used = max(self._used, int(bins.max()) + 1)
        np.add.at(self._bytes, bins, sizes)

    def bars(self, most: int) -> list[Bar]:
        """Return the capture in at most `most` parts of about the same length."""
        if self._first_ns is None:
            return []
        count = min(most, self._used)
        edges = [self._used * at // count for at in range(count + 1)]
        return [
            Bar(
                self._first_ns + start * self._width_ns,
                (end - start) * self._width_ns,
                int(self._bytes[start:end].sum()),
            )
            for start, end in pairwise(edges)
        ]
