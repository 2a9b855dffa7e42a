"""The maps of a recorder -> its memory as arrays, for the loop that reads it while programs write.

Nobody has to read it: programs overwrite the oldest chunk of their CPU. So a recorder that waits costs no CPU here.
"""

import ctypes
import platform

import numpy as np
import numpy.typing as npt

from capture.abi import RECORDER_STATE
from capture.kernel import syscall
from capture.kernel.counters import possible_cpus
from capture.kernel.program import Module
from capture.plan import CapturePlan
from capture.stream.remembered import ChunkArrays

_IN_ORDER = platform.machine() == "x86_64"
"""True if the writes of a CPU are seen in their order. Elsewhere `used` may be seen before the block, as long as the
program that wrote them runs."""


class ChunkMemory:
    """The mapped memory of a recorder. Raises OSError."""

    def __init__(self, plan: CapturePlan, module: Module) -> None:
        assert plan.memory is not None, "the plan is that of a recorder"
        planned, cpus = plan.memory, plan.cpus
        self._mapped: list[tuple[int, int]] = []
        states = self._map(module.map_fd("recorder_states"), possible_cpus() * RECORDER_STATE.itemsize, write=True)
        try:
            chunks = self._map(module.map_fd("chunks"), len(cpus) * planned.chunks * planned.stride)
        except OSError:
            self.close()
            raise
        states_of = states.view(RECORDER_STATE)
        for part, cpu in enumerate(cpus):
            states_of["first"][cpu] = states_of["index"][cpu] = part * planned.chunks
        states_of["chunks"][list(cpus)] = planned.chunks  # last: from here on programs remember packets
        self.arrays = ChunkArrays(
            words=chunks.view(np.uint32),
            longs=chunks.view(np.int64),
            states=states.view(np.int64).reshape(-1, RECORDER_STATE.itemsize // 8),
            cpus=np.array(cpus, np.int64),
            chunks=planned.chunks,
            stride=planned.stride,
            chunk_bytes=planned.chunk_bytes,
        )

    def _map(self, descriptor: int, size: int, write: bool = False) -> npt.NDArray[np.uint8]:
        protection = syscall.PROT_READ | (syscall.PROT_WRITE if write else 0)
        address = syscall.mmap(0, size, protection, syscall.MAP_SHARED, descriptor)
        self._mapped.append((address, size))
        memory = np.frombuffer(memoryview((ctypes.c_uint8 * size).from_address(address)), np.uint8)
        memory.flags.writeable = write
        return memory

    def settle(self) -> None:
        """Make what programs have written so far visible, with all that they wrote before it."""
        if not _IN_ORDER:
            syscall.wait_for_programs()

    def close(self) -> None:
        """Unmap; the arrays must not be touched afterwards."""
        for address, size in self._mapped:
            syscall.munmap(address, size)
        self._mapped.clear()
