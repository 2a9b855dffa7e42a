"""A recorder's memory without a kernel: CPUs remember packets as bpf/lib/remember.h does, chunk after chunk."""

import numpy as np

from capture.abi import CHUNK_HEAD, OUTBOUND, PACKET_BLOCK, PACKET_BLOCK_END, RECORDER_STATE
from capture.stream.remembered import ChunkArrays

CHUNK_BYTES, EXCESS = 256, 192
STRIDE = CHUNK_HEAD.itemsize + CHUNK_BYTES + EXCESS


class FakeMemory:
    """`chunks` chunks on each of `cpus` CPUs."""

    def __init__(self, cpus: int = 1, chunks: int = 4) -> None:
        self._memory = np.zeros(cpus * chunks * STRIDE, np.uint8)
        self._states = np.zeros(cpus, RECORDER_STATE)
        self._states["first"] = self._states["index"] = np.arange(cpus) * chunks
        self._states["chunks"] = chunks
        read_only = self._memory.view()
        read_only.flags.writeable = False
        self.arrays = ChunkArrays(
            words=read_only.view(np.uint32),
            longs=read_only.view(np.int64),
            states=self._states.view(np.int64).reshape(cpus, -1),
            cpus=np.arange(cpus),
            chunks=chunks,
            stride=STRIDE,
            chunk_bytes=CHUNK_BYTES,
        )

    def _head(self, index: int) -> np.ndarray:
        return self._memory[index * STRIDE :][: CHUNK_HEAD.itemsize].view(CHUNK_HEAD)

    def put(self, at_ns: int, data: bytes = b"a packet", cpu: int = 0, flags: int = OUTBOUND, slot: int = 0) -> None:
        """Remember a packet."""
        state = self._states[cpu]
        head = self._head(int(state["index"]))
        if head["used"][0] >= CHUNK_BYTES:
            last = int(state["first"] + state["chunks"]) - 1
            state["index"] = state["first"] if state["index"] == last else state["index"] + 1
            head = self._head(int(state["index"]))
            head[0] = (int(state["number"]) + 1, 0, int(state["packets"]), np.iinfo(np.int64).max)
            state["number"] += 1
        used = int(head["used"][0])
        if used == 0:
            head["first_ns"] = at_ns
        block, end = np.zeros(1, PACKET_BLOCK), np.zeros(1, PACKET_BLOCK_END)
        padded = data + bytes(-len(data) % 4)
        total = PACKET_BLOCK.itemsize + len(padded) + PACKET_BLOCK_END.itemsize
        block[0] = (6, total, slot, at_ns >> 32, at_ns & 0xFFFFFFFF, len(data), len(data))
        end[0] = (4 << 16 | 2, flags, 0, total)
        where = int(state["index"]) * STRIDE + CHUNK_HEAD.itemsize + used
        self._memory[where : where + total] = np.frombuffer(block.tobytes() + padded + end.tobytes(), np.uint8)
        head["used"] += total
        state["packets"] += 1
