"""Words for amounts -> numbers: "30s" -> nanoseconds, "64MiB" -> bytes; and numbers -> words a person reads."""

import re

from capture.errors import SpecError

_DURATIONS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}
_SIZES = {
    "": 1, "b": 1,
    "k": 10**3, "kb": 10**3, "kib": 2**10, "ki": 2**10,
    "m": 10**6, "mb": 10**6, "mib": 2**20, "mi": 2**20,
    "g": 10**9, "gb": 10**9, "gib": 2**30, "gi": 2**30,
    "t": 10**12, "tb": 10**12, "tib": 2**40, "ti": 2**40,
}  # fmt: skip
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


def parse_duration(text: str) -> int:
    """ "90", "30s", "5m", "1m30s" -> nanoseconds; a bare number is seconds. Raises SpecError."""
    total, position = 0.0, 0
    for match in _AMOUNT.finditer(text):
        unit = match[2].lower() or "s"
        if match.start() != position or unit not in _DURATIONS:
            break
        total += float(match[1]) * _DURATIONS[unit]
        position = match.end()
    if not text.strip() or position != len(text):
        raise SpecError(f"duration {text!r} is not understood; write it like 30s, 5m or 1h30m")
    return round(total)


def parse_size(text: str) -> int:
    """ "4096", "64MiB", "1.5GB" -> bytes; k, M, G are decimal, Ki, Mi, Gi binary. Raises SpecError."""
    match = _AMOUNT.fullmatch(text)
    if match is None or match[2].lower() not in _SIZES:
        raise SpecError(f"size {text!r} is not understood; write it like 4096, 64MiB or 1GB")
    return round(float(match[1]) * _SIZES[match[2].lower()])


def format_size(count: float) -> str:
    """Bytes -> "1.4 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def format_duration(nanoseconds: float) -> str:
    """Nanoseconds -> "1.2 ms", "3.4 s", "5m10s"."""
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nanoseconds < size * 1000:
            return f"{nanoseconds / size:.3g} {unit}"
    seconds = nanoseconds / 10**9
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + f"{minutes}m{seconds:02d}s"
