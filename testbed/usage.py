"""A command that ends by itself -> how long it took, and how much memory it had."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """One run: wall-clock seconds, and the most resident memory it had."""

    seconds: float
    peak_rss_mib: float


# A process counts the memory of the one that started it as its own, until it has a program of its own. So what starts
# the command is small, whoever asks.
_START = """
import os, sys, time
nowhere = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]
began = time.monotonic()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=nowhere)
_, status, usage = os.wait4(process, 0)
print(time.monotonic() - began, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


def measure(words: Sequence[str]) -> Usage:
    """Run a command to its end; its output goes nowhere. Raises RuntimeError if it fails."""
    start = [sys.executable, "-S", "-c", _START, *words]
    seconds, kib, code = subprocess.run(start, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    if int(code):
        raise RuntimeError(f"{words[0]} ended with {code}")
    return Usage(float(seconds), int(kib) / 1024)
