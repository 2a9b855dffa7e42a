"""Text for amounts -> numbers (30s -> nanoseconds, 64MiB -> bytes), and numbers -> text."""

import math
import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from capture.errors import SpecError

_DURATIONS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}
DECIMAL_PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
"""Prefixes of rates, in lower case, and their factors."""
_SIZES: dict[str, int] = {"": 1, "b": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("", 1000), ("b", 1000), ("i", 1024), ("ib", 1024))
}
_CLOCK = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
# The limit of 15 digits is more than anybody needs, and keeps every amount from overflowing.
_AMOUNT = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([a-zA-Zµ]*)\s*")


def parse_duration(text: str, field: str = "duration") -> int:
    """Turn "90", "30s", "5m" or "1m30s" into nanoseconds; a bare number is seconds. Raises SpecError."""
    alone = _AMOUNT.fullmatch(text)
    total, position, previous = 0.0, 0, math.inf
    for match in [alone] if alone else _AMOUNT.finditer(text):
        size = _DURATIONS.get(match[2].lower() or ("s" if alone else ""))
        if match.start() != position or size is None or size >= previous:
            break
        total += float(match[1]) * size
        position, previous = match.end(), size
    if not text.strip() or position != len(text):
        raise SpecError(f"{field} {text!r} is not understood; write it like 30s, 5m or 1h30m")
    return round(total)


def parse_size(text: str, field: str = "size") -> int:
    """Turn "4096", "64MiB" or "1.5GB" into bytes; k, M, G are decimal, Ki, Mi, Gi binary. Raises SpecError."""
    match = _AMOUNT.fullmatch(text)
    if match is None or match[2].lower() not in _SIZES:
        raise SpecError(f"{field} {text!r} is not understood; write it like 4096, 64MiB or 1GB")
    return round(float(match[1]) * _SIZES[match[2].lower()])


def wall_time(text: str, after: datetime, field: str = "time") -> datetime:
    """Turn "2026-11-24T18:30", or "18:30" (the next after `after`), into a time.

    A time without a zone is in the zone of `after`. Raises SpecError.
    """
    try:
        if _CLOCK.fullmatch(text.strip()):
            moment = datetime.combine(after.date(), time.fromisoformat(text.strip()), after.tzinfo)
            moment += timedelta(days=moment <= after)
        else:
            moment = datetime.fromisoformat(text.strip())
            moment = moment if moment.tzinfo else moment.replace(tzinfo=after.tzinfo)
        if not 1970 < moment.year < 9999:  # every zone can express these years
            raise ValueError
    except ValueError:
        raise SpecError(f"{field} {text!r} is not understood; write it like 18:30 or 2026-11-24T18:30:00") from None
    return moment


@dataclass(frozen=True, slots=True)
class Unit:
    """Unit for amounts less than `below`: `word` stands behind amount / `size`, formatted with `digits`."""

    word: str
    size: int
    below: float
    digits: str


SIZE_UNITS = (
    Unit("B", 1, 1023.5, ".0f"),  # 1023.5 and more would be written as 1024
    Unit("KiB", 1 << 10, 1023.95 * (1 << 10), ".1f"),
    Unit("MiB", 1 << 20, 1023.95 * (1 << 20), ".1f"),
    Unit("GiB", 1 << 30, 1023.95 * (1 << 30), ".1f"),
    Unit("TiB", 1 << 40, math.inf, ".1f"),
)
DURATION_UNITS = (
    Unit("ns", 1, 999.5, ".3g"),  # .3g writes 999.5 and more with an exponent
    Unit("µs", 10**3, 999.5e3, ".3g"),
    Unit("ms", 10**6, 999.5e6, ".3g"),
    Unit("s", 10**9, 59.95e9, ".1f"),
)
"""Units of durations below a minute; longer ones are written as 1m30s."""


def format_size(count: float) -> str:
    """Return a number of bytes as text like 1.4 MiB."""
    size = abs(count)
    unit = next((unit for unit in SIZE_UNITS if size < unit.below), SIZE_UNITS[-1])
    return f"{count / unit.size:{unit.digits}} {unit.word}"


def format_duration(nanoseconds: float) -> str:
    """Return nanoseconds as text like 1.2 ms, 3.4 s or 5m10s."""
    if nanoseconds < 0:
        return f"-{format_duration(-nanoseconds)}"
    for unit in DURATION_UNITS:
        if nanoseconds < unit.below:
            return f"{nanoseconds / unit.size:{unit.digits}} {unit.word}"
    minutes, whole = divmod(round(nanoseconds / 10**9), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + f"{minutes}m{whole:02d}s"


def format_count(count: int, singular: str, plural: str = "") -> str:
    """Return words like "1 session" or "2,500 sessions". Default for `plural`: `singular` with an s."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"
