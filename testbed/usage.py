"""A command that ends by itself -> how long it took, and how much memory it had."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """One run: wall-clock seconds, and the most resident memory it had."""

    seconds: float
    peak_rss_mib: float


def measure(words: Sequence[str]) -> Usage:
    """Run a command to its end; its output goes nowhere. Raises RuntimeError if it fails."""
    with open(os.devnull, "w") as nowhere:
        began = time.monotonic()
        process = subprocess.Popen(words, stdout=nowhere, stderr=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{words[0]} ended with {process.returncode}")
    return Usage(seconds, usage.ru_maxrss / 1024)
