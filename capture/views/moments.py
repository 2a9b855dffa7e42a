"""Times -> text for a person, in the local time zone."""

import time


def clock_text(seconds: int) -> str:
    """Return the time of day, like 18:30:05."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def moment_text(time_ns: int) -> str:
    """Return the time of day to a microsecond, like 18:30:05.000250."""
    return f"{clock_text(time_ns // 10**9)}.{time_ns // 1000 % 10**6:06d}"


def date_text(time_ns: int) -> str:
    """Return the date and the time of day to a microsecond."""
    return f"{time.strftime('%Y-%m-%d', time.localtime(time_ns // 10**9))} {moment_text(time_ns)}"
