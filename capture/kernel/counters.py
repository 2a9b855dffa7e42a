"""The per-CPU accounts map -> one row of plain numbers per interface and hook."""

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.abi import INTERFACE_COUNTERS
from capture.kernel import syscall


def possible_cpus() -> int:
    """CPUs a per-CPU map has values for: /sys/devices/system/cpu/possible is like 0-127."""
    with open("/sys/devices/system/cpu/possible") as possible:
        return int(possible.read().strip().rpartition("-")[2].rpartition(",")[2]) + 1


def online_cpus() -> tuple[int, ...]:
    """The numbers of the CPUs that run."""
    with open("/sys/devices/system/cpu/online") as online:
        spans = [span.partition("-") for span in online.read().strip().split(",")]
    return tuple(cpu for first, _, last in spans for cpu in range(int(first), int(last or first) + 1))


class Counters:
    """Reads the accounts of a running capture."""

    def __init__(self, map_fd: int, cpus: int) -> None:
        self._map_fd, self._cpus = map_fd, cpus
        self._buffer = ctypes.create_string_buffer(INTERFACE_COUNTERS.itemsize * self._cpus)

    def read(self, rows: int) -> npt.NDArray[Any]:
        """Array [rows] of INTERFACE_COUNTERS, the first of the map: the sums over all CPUs."""
        words = INTERFACE_COUNTERS.itemsize // 8
        sums = np.zeros((rows, words), np.uint64)
        for row in range(rows):
            syscall.map_lookup(self._map_fd, row, self._buffer)
            sums[row] = np.frombuffer(self._buffer.raw, np.uint64).reshape(self._cpus, words).sum(axis=0)
        return sums.view(INTERFACE_COUNTERS).reshape(rows)
