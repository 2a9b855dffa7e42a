"""Perf events and the overflow ring's map -> one range of memory with all rings, for arrays and compiled loops.

Each perf ring is a control page and its data, a power of two of bytes; the data is read-only to us. A number of bytes
wakes the reader, not each event: a wake-up per packet costs the sender microseconds. The overflow ring, behind them,
wakes nobody: the ring that is full has done it.
"""

import ctypes
import errno
import os
import select
import sys
from typing import NamedTuple

import numpy as np

from capture.errors import KernelError, PrivilegeError
from capture.kernel import syscall
from capture.stream.source import RingMemory
from capture.units import format_size


class Overflow(NamedTuple):
    """The overflow ring: the descriptor of its map, and the bytes of its data."""

    map_fd: int
    bytes: int


class Rings:
    """The rings of the online CPUs, their memory, and the descriptors to wait on."""

    def __init__(
        self, cpus: tuple[int, ...], ring_bytes: int, watermark: int, map_fd: int, overflow: Overflow | None = None
    ) -> None:
        page = os.sysconf("SC_PAGESIZE")
        self._stride = page + ring_bytes
        length = self._stride * len(cpus) + (2 * page + overflow.bytes if overflow else 0)
        self._length = 0
        self._events: list[int] = []
        self._poll = select.epoll()
        cpu = cpus[0]
        try:
            self._address = syscall.mmap(
                0,
                length,
                syscall.PROT_NONE,
                syscall.MAP_PRIVATE | syscall.MAP_ANONYMOUS | syscall.MAP_NORESERVE,
                -1,
            )
            self._length = length
            for position, cpu in enumerate(cpus):
                self._map(position, cpu, watermark, map_fd)
            if overflow:
                self._map_overflow(self._address + self._stride * len(cpus), page, overflow)
        except OSError as error:
            self.close()
            raise refused(error, ring_bytes, cpu) from None
        memory = memoryview((ctypes.c_uint8 * self._length).from_address(self._address))
        self.memory = RingMemory(
            words=np.frombuffer(memory, np.uint32),
            longs=np.frombuffer(memory, np.int64),
            stride=self._stride,
            page=page,
            overflow_bytes=overflow.bytes if overflow else 0,
        )

    def _map(self, position: int, cpu: int, watermark: int, map_fd: int) -> None:
        event = syscall.open_output_event(cpu, watermark)
        self._events.append(event)
        syscall.mmap(
            self._address + position * self._stride,
            self._stride,
            syscall.PROT_READ | syscall.PROT_WRITE,
            syscall.MAP_SHARED | syscall.MAP_FIXED,
            event,
        )
        syscall.map_update(map_fd, cpu.to_bytes(4, sys.byteorder), event.to_bytes(4, sys.byteorder))
        self._poll.register(event, select.EPOLLIN)

    def _map_overflow(self, address: int, page: int, overflow: Overflow) -> None:
        """Map both pages with positions, of which only the reader's may be written, and the data once."""
        shared, read = syscall.MAP_SHARED | syscall.MAP_FIXED, syscall.PROT_READ
        syscall.mmap(address, page, read | syscall.PROT_WRITE, shared, overflow.map_fd)
        syscall.mmap(address + page, page + overflow.bytes, read, shared, overflow.map_fd, page)

    def watch(self, descriptor: int) -> None:
        """Make `wait` return also when this descriptor is readable."""
        self._poll.register(descriptor, select.EPOLLIN)

    def wait(self, seconds: float) -> list[int]:
        """Sleep until a ring passes its watermark, a descriptor is readable, or the time is over.

        Returns the descriptors that are ready.
        """
        return [descriptor for descriptor, _ in self._poll.poll(max(seconds, 0))]

    def close(self) -> None:
        """Unmap and close. The arrays must not be touched afterwards."""
        self._poll.close()
        for event in self._events:
            os.close(event)
        self._events.clear()
        if self._length:
            syscall.munmap(self._address, self._length)
            self._length = 0


def refused(error: OSError, ring_bytes: int, cpu: int) -> KernelError:
    """Return an error for a ring that cannot be made.

    perf_event_open(2) fails with EACCES, and mmap(2) with EPERM where locked memory is limited.
    """
    what = f"no ring of {format_size(ring_bytes)} for CPU {cpu}"
    if error.errno == errno.EACCES:
        return PrivilegeError(f"{what}: opening perf events needs CAP_PERFMON; run as root")
    if error.errno == errno.EPERM:
        return PrivilegeError(
            f"{what}: locked memory is limited; grant CAP_IPC_LOCK, raise kernel.perf_event_mlock_kb, or give a "
            "smaller --buffer"
        )
    return KernelError(f"{what}: {error.strerror}; give a smaller --buffer")
