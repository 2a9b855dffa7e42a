"""Times -> how a person reads them, in the local zone."""

import time


def clock_text(seconds: int) -> str:
    """The local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))
