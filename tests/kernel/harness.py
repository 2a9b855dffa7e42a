"""The real programs, run on one packet at a time by BPF_PROG_TEST_RUN, and the blocks they leave in the rings.

with Programs(filter_program(rules)) as programs:
    assert programs.run(packet, "from_pod") is not None
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from capture.abi import ALONE, HOOKS, PACKET_BLOCK, PACKET_BLOCK_END, PACKET_RUN, PERF_HEADERS, REVERSE, TAGGED
from capture.errors import VerifierError
from capture.filters.filter_h import ADDRESSES_MAX, FilterProgram
from capture.kernel import syscall
from capture.kernel.batches import Batches
from capture.kernel.conversations_map import ConversationsMap
from capture.kernel.counters import Counters, online_cpus, possible_cpus
from capture.kernel.features import has_coarse_clock
from capture.kernel.frozen import with_entries
from capture.kernel.groups_map import GroupsMap
from capture.kernel.kept import Folder, compiled_once
from capture.kernel.program import Module
from capture.kernel.rings import Overflow, Rings
from capture.sampling.sampler import Sampling
from capture.sampling.sampling_h import SamplingProgram, sampling_program
from capture.spec import SNAPLEN_MAX

KEPT = Folder(Path(__file__).parents[2] / ".pytest_cache" / "programs", largest=1 << 28)
"""As pytest's own cache: nobody misses it. Tests ask for some thousand programs; workers side by side share them."""
RING_BYTES = 1 << 20
EVERYTHING = sampling_program(Sampling())
ENTRIES = ("from_pod", "to_pod")
CONTROL_HEAD, CONTROL_TAIL = 1024 // 8, 1032 // 8
PERF_RECORD_SAMPLE = 9


@dataclass(frozen=True, slots=True)
class RingPacket:
    """A packet as user space gets it from the program; `time` is CLOCK_MONOTONIC (ns), `flags` enum packet_flag."""

    time: int
    interface: int
    original: int
    flags: int
    packet: bytes


def packets_of(sample: bytes) -> list[RingPacket]:
    """Return the packets of a run, whose blocks are taken apart here, field by field."""
    run = np.frombuffer(sample, PACKET_RUN, 1)[0]
    blocks = sample[PACKET_RUN.itemsize :][: int(run["bytes"])]
    found: list[RingPacket] = []
    at = 0
    while at < len(blocks):
        block = np.frombuffer(blocks, PACKET_BLOCK, 1, at)[0]
        captured, total, wall = int(block["captured"]), int(block["total"]), int(block["time_high"]) << 32
        wall += int(block["time_low"])
        assert block["type"] == 6
        assert total == PACKET_BLOCK.itemsize + (captured + 3 & ~3) + PACKET_BLOCK_END.itemsize
        packet = at + PACKET_BLOCK.itemsize
        if run["flags"] & ALONE:
            data, flags = blocks[packet:], int(run["flags"]) & 3
            if run["flags"] & TAGGED:
                data = data[:12] + run["tag"].tobytes() + data[12:]
            assert len(data) == captured
            at = len(blocks)
        else:
            data, end = blocks[packet : packet + captured], at + total - PACKET_BLOCK_END.itemsize
            assert not any(blocks[packet + captured : end]), "padding is zero"
            option, flags, last, again = (int(word) for word in np.frombuffer(blocks, PACKET_BLOCK_END, 1, end)[0])
            assert (option, last, again) == (4 << 16 | 2, 0, total)
            at += total
        reverse = int(run["reverse"][len(found) // 64]) >> len(found) % 64 & 1
        flags |= REVERSE * reverse
        time = (wall - int(run["wall_offset_ns"])) % (1 << 64)
        found.append(RingPacket(time, int(block["interface"]), int(block["original"]), flags, data))
    return found


class Programs:
    """Both programs, loaded for one interface slot; not attached to anything."""

    def __init__(
        self,
        wanted: FilterProgram,
        snaplen: int = SNAPLEN_MAX,
        slot: int = 0,
        sampling: SamplingProgram = EVERYTHING,
        shared: bool = False,
        xdp: bool = False,
        loaded: tuple[Module, dict[str, int]] | None = None,
        **defines: int,
    ) -> None:
        """Compile and load the programs; `loaded` is a module with programs to use instead."""
        self.passes = 2 if xdp else 0xFFFFFFFF  # XDP_PASS, TCX_NEXT
        rows = (slot + 1) * HOOKS
        sizes = {
            "SNAPLEN": snaplen,
            "ROWS": rows,
            "CPUS": possible_cpus(),
            "RING_BYTES": RING_BYTES,
            "OVERFLOW_BYTES": 0,
        }
        over = defines.get("OVERFLOW_BYTES", 0)
        sizes |= {"BATCHING": 1, "COARSE_CLOCK": int(has_coarse_clock() or False), **defines}
        if loaded:
            self.module, self.descriptors = loaded
        else:
            compiled = compiled_once(wanted, sampling, sizes, xdp, KEPT)
            self.module = Module(with_entries(compiled, "overflow", over) if over else compiled)
            try:
                self.descriptors = {entry: self.module.load(entry, slot, shared=shared, xdp=xdp) for entry in ENTRIES}
                self.descriptors["flush_waiting"] = self.module.load("flush_waiting")
            except VerifierError:
                self.module.close()
                raise
        cpus = online_cpus()
        # A batch is flushed on the CPU where it waits.
        self._home = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cpus[0]})
        overflow = Overflow(self.module.map_fd("overflow"), over) if over else None
        self.rings = Rings(cpus, RING_BYTES, RING_BYTES // 2, self.module.map_fd("rings"), overflow)
        room = dict(wanted.switches)["CONVERSATIONS"]
        if room:
            self.conversations = ConversationsMap(self.module.map_fd("conversations"), room, wanted.exact)
            self.conversations.replace(wanted.listed)
        if dict(wanted.switches)["GROUPS"]:
            self.groups = GroupsMap(self.module.map_fd("groups"), ADDRESSES_MAX)
        self._counters = Counters(self.module.map_fd("accounts"), possible_cpus())
        self._slot, self._rows = slot, rows
        self.batches = Batches(
            self.module.map_fd("batch_states"), self.descriptors["flush_waiting"], possible_cpus(), cpus
        )

    def __enter__(self) -> "Programs":
        return self

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self._home)
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.batches.close()
        self.rings.close()
        self.module.close()

    def run(self, packet: bytes, entry: str = "from_pod") -> RingPacket | None:
        """Run a program on a packet. Returns its record, None if it left none. The verdict must be NEXT."""
        run = syscall.prog_test_run(self.descriptors[entry], packet)
        assert run.verdict == self.passes, f"the program decided the packet's fate: {run.verdict}"
        records = self.records()
        assert len(records) <= 1
        return records[0] if records else None

    def records(self) -> list[RingPacket]:
        """Flush the batch, and return all records in the rings."""
        syscall.prog_test_run(self.descriptors["flush_waiting"], bytes(14))
        found = []
        memory = self.rings.memory
        for ring in range(memory.rings):
            start = ring * memory.stride
            control = start // 8
            tail, head = (
                int(memory.longs[control + CONTROL_TAIL]),
                int(memory.longs[control + CONTROL_HEAD]),
            )
            data = memory.words.view(np.uint8)[start + memory.page : start + memory.stride]
            while tail < head:
                event = data[np.arange(tail, tail + 8) % RING_BYTES].tobytes()
                kind, size = (int.from_bytes(word, sys.byteorder) for word in (event[:4], event[6:]))
                if kind == PERF_RECORD_SAMPLE:  # the kernel also tells what a full ring lost
                    found += packets_of(data[np.arange(tail + PERF_HEADERS, tail + size) % RING_BYTES].tobytes())
                tail += size
            memory.longs[control + CONTROL_TAIL] = tail
        return found

    def counters(self, entry: str = "from_pod") -> Any:
        """Return the program's row of counters."""
        return self._counters.read(self._rows)[self._slot * HOOKS + ENTRIES.index(entry)]
