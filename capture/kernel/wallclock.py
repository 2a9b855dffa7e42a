"""The machine's clocks -> readings for stream.clock, and the state of the wall clock's synchronisation."""

import ctypes
import time

_libc = ctypes.CDLL(None, use_errno=True)


def offset_samples(count: int = 8) -> list[tuple[int, int, int]]:
    """Return `count` readings (monotonic, wall, monotonic), ns."""
    return [(time.monotonic_ns(), time.time_ns(), time.monotonic_ns()) for _ in range(count)]


class _Timex(ctypes.Structure):
    """The beginning of struct timex (adjtimex(2)); the kernel writes more than these fields."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def clock_state() -> str:
    """Return one phrase that says if the wall clock is synchronised, and the error that the kernel assumes."""
    sta_unsync = 0x0040
    timex = _Timex()
    if _libc.adjtimex(ctypes.byref(timex)) < 0:
        return "unknown"
    if timex.status & sta_unsync:
        return "not synchronised"
    return f"synchronised, error at most {timex.maxerror} µs"
