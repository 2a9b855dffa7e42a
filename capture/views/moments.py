"""Times -> text for a person: local, UTC, seconds since 1970, or since the capture's first packet.

A time on another day than the first one has its date: in a capture of one day no line has a date.
"""

import time
from collections.abc import Iterable, Iterator
from enum import StrEnum

import numpy as np

from capture.analysis.packets.reading import Batch
from capture.arrays.aliases import Longs
from capture.arrays.cells import Cells, beside, each, numbers, where

_SECOND = 10**9
_CLOCK_WIDTH, _DATE_WIDTH, _EPOCH_WIDTH = len("18:30:05.000250"), len("2026-11-30 "), len("1700000000.000250")


class TimeForm(StrEnum):
    """How times are shown."""

    LOCAL = "local"
    UTC = "utc"
    EPOCH = "epoch"
    "seconds since 1970"
    RELATIVE = "relative"
    "seconds since the first packet"


class Clock:
    """Times of one capture in one form. The first time that it gets is that of the capture's first packet."""

    def __init__(self, form: TimeForm = TimeForm.LOCAL) -> None:
        self.form = form
        self._first_ns: int | None = None
        self._first_day = ""
        self._last_ns = 0

    def begin(self, first_ns: int) -> None:
        """Set the time of the first packet, ns, unless it is known."""
        if self._first_ns is None:
            self._first_ns, self._first_day = first_ns, self._day(first_ns)

    def beside(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Return the batches of a capture, and learn its first and its last time from them."""
        for batch in batches:
            self.begin(int(batch.packets["time_ns"][0]))
            self._last_ns = int(batch.packets["time_ns"][-1])
            yield batch

    def cells(self, times_ns: Longs, digits: int) -> Cells:
        """Return times with `digits` of 6 or 9 digits behind the point."""
        if len(times_ns):
            self.begin(int(times_ns[0]))
        times, early = times_ns.astype(np.int64), np.zeros(len(times_ns), np.bool_)
        if self.form is TimeForm.RELATIVE:
            times = times - (self._first_ns or 0)
            early = times < 0
            times = np.abs(times)
        seconds, fraction = times // _SECOND, times % _SECOND // 10 ** (9 - digits)
        if self.form in (TimeForm.EPOCH, TimeForm.RELATIVE):
            whole = beside(where(early, "-"), each(str, seconds))
        else:
            whole = each(self._clock_text, seconds)
        return beside(whole, ".", numbers(fraction, digits))

    def text(self, time_ns: int) -> str:
        """Return a time to a microsecond."""
        return self.cells(np.array([time_ns], np.int64), 6).tobytes().decode().replace("\0", "")

    def dated_text(self, time_ns: int) -> str:
        """Return a time to a microsecond, with its date where the form has one."""
        if self.form in (TimeForm.EPOCH, TimeForm.RELATIVE):
            return self.text(time_ns)
        return f"{self._day(time_ns)} {self._clock(time_ns // _SECOND)}.{time_ns // 1000 % 10**6:06d}"

    @property
    def width(self) -> int:
        """Characters of the longest time to a microsecond, of the packets so far."""
        if self.form is TimeForm.EPOCH or self._first_ns is None:
            return _EPOCH_WIDTH
        if self.form is TimeForm.RELATIVE:
            return len(str((self._last_ns - self._first_ns) // _SECOND)) + 7
        return _CLOCK_WIDTH + (_DATE_WIDTH if self._day(self._last_ns) != self._first_day else 0)

    def _broken(self, seconds: int) -> time.struct_time:
        return time.gmtime(seconds) if self.form is TimeForm.UTC else time.localtime(seconds)

    def _day(self, time_ns: int) -> str:
        return time.strftime("%Y-%m-%d", self._broken(time_ns // _SECOND))

    def _clock(self, seconds: int) -> str:
        return time.strftime("%H:%M:%S", self._broken(seconds))

    def _clock_text(self, seconds: int) -> str:
        day = self._day(seconds * _SECOND)
        return self._clock(seconds) if day == self._first_day else f"{day} {self._clock(seconds)}"
