"""The per-CPU accounts map -> one row of sums per interface and hook.

The theory: each CPU adds to a row of its own, so programs need no atomic operations and no lock, and nothing is lost.
The sum over the CPUs of a counter that only grows is exact once no program runs; until then it is a snapshot, in
which counters that belong together may differ by the packets that are being counted. A read copies [CPUs] rows for
each row of the result, so it is for a tick of a second, not for a packet.
"""

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.abi import INTERFACE_COUNTERS
from capture.kernel import syscall


def possible_cpus() -> int:
    """Return the number of values that a per-CPU map has; /sys/devices/system/cpu/possible is like 0-127."""
    with open("/sys/devices/system/cpu/possible") as possible:
        return int(possible.read().strip().rpartition("-")[2].rpartition(",")[2]) + 1


def online_cpus() -> tuple[int, ...]:
    """Return the numbers of the CPUs that are online."""
    with open("/sys/devices/system/cpu/online") as online:
        spans = [span.partition("-") for span in online.read().strip().split(",")]
    return tuple(cpu for first, _, last in spans for cpu in range(int(first), int(last or first) + 1))


class Counters:
    """The accounts of a running capture."""

    def __init__(self, map_fd: int, cpus: int) -> None:
        self._map_fd, self._cpus = map_fd, cpus
        self._buffer = ctypes.create_string_buffer(INTERFACE_COUNTERS.itemsize * self._cpus)

    def read(self, rows: int) -> npt.NDArray[Any]:
        """Return the first `rows` rows of the map, summed over all CPUs: [rows] of INTERFACE_COUNTERS."""
        words = INTERFACE_COUNTERS.itemsize // 8
        sums = np.zeros((rows, words), np.uint64)
        for row in range(rows):
            syscall.map_lookup(self._map_fd, row, self._buffer)
            sums[row] = np.frombuffer(self._buffer.raw, np.uint64).reshape(self._cpus, words).sum(axis=0)
        return sums.view(INTERFACE_COUNTERS).reshape(rows)
