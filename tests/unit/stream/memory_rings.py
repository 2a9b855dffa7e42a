"""Ring memory as the kernel would write it, made from plain values: for tests and for simulations of many CPUs."""

import struct
from dataclasses import dataclass

import numpy as np

from capture.abi import ALONE, INBOUND, OUTBOUND, PACKET_RUN, PERF_HEADERS, REVERSE, TAGGED
from capture.stream.compiled import merge
from capture.stream.compiled.cursors import BLOCK_AT, NEVER, RUN_END, SAMPLE_END, release, snapshot
from capture.stream.compiled.portions import NO_FILE, loop_over, parts, write_portions
from capture.stream.source import RingMemory

PAGE = 4096
SAMPLE, LOST = 9, 2
LARGEST_BATCHED, PACKETS_OF_A_RUN = 2040, 192


@dataclass(frozen=True)
class Captured:
    """A packet as the programs capture it; `vlan` is (protocol, TCI) of a tag that was taken out of its bytes."""

    at: int
    data: bytes
    original: int
    interface: int = 0
    flags: int = INBOUND
    vlan: tuple[int, int] | None = None

    @property
    def tagged(self) -> bytes:
        """The packet with its tag."""
        return self.data if self.vlan is None else self.data[:12] + struct.pack(">HH", *self.vlan) + self.data[12:]

    @property
    def alone(self) -> bool:
        return len(self.tagged) > LARGEST_BATCHED

    def beginning(self, offset_ns: int) -> bytes:
        """Return the block up to the packet."""
        size, wall = len(self.tagged), self.at + offset_ns
        total = 44 + (size + 3 & ~3)
        return struct.pack("<7I", 6, total, self.interface, wall >> 32, wall & 0xFFFFFFFF, size, self.original)

    def block(self, offset_ns: int) -> bytes:
        """Return the block as the kernel makes it in a batch."""
        beginning, size = self.beginning(offset_ns), len(self.tagged)
        end = struct.pack("<HHIII", 2, 4, self.flags & (INBOUND | OUTBOUND), 0, 44 + (size + 3 & ~3))
        return beginning + self.tagged + bytes(-size % 4) + end


def captured(
    at: int, packet: bytes, *, original: int | None = None, interface: int = 0, flags: int = INBOUND,
    vlan: tuple[int, int] | None = None,
) -> Captured:  # fmt: skip
    whole = len(packet) + 4 * (vlan is not None)
    return Captured(at, packet, whole if original is None else original, interface, flags, vlan)


def run_of(packets: list[Captured], offset_ns: int) -> bytes:
    """Return a run as the kernel submits it: of packets from a batch, or of one that is alone."""
    run = np.zeros(1, PACKET_RUN)
    run["wall_offset_ns"] = offset_ns % (1 << 64)
    reverse = sum(1 << n for n, packet in enumerate(packets) if packet.flags & REVERSE)
    run["reverse"] = [reverse >> 64 * n & (1 << 64) - 1 for n in range(3)]
    first = packets[0]
    if first.alone:
        blocks = first.beginning(offset_ns) + first.data
        run["flags"] = first.flags | ALONE
        if first.vlan is not None:
            run["flags"] |= TAGGED
            run["tag"] = np.frombuffer(first.tagged, np.uint16, 2, 12)
    else:
        blocks = b"".join(packet.block(offset_ns) for packet in packets)
    run["bytes"] = len(blocks)
    return bytes(run.tobytes()) + blocks


def submitted(packets: tuple[Captured, ...]) -> list[list[Captured]]:
    """Return packets that come one after the other as the programs submit them: those of each run."""
    runs: list[list[Captured]] = []
    for packet in packets:
        if not runs or packet.alone or runs[-1][0].alone or len(runs[-1]) == PACKETS_OF_A_RUN:
            runs.append([])
        runs[-1].append(packet)
    return runs


def record_of(ring: int, packets: list[Captured], offset_ns: int) -> bytes:
    """Return a record of the overflow ring: its blocks are complete, and one that is alone gets more room."""
    run = np.frombuffer(run_of(packets, offset_ns)[: PACKET_RUN.itemsize], PACKET_RUN).copy()
    blocks = b"".join(packet.block(offset_ns) for packet in packets)
    run["bytes"], run["flags"], run["tag"] = len(blocks), 0, 0
    room = 1 << len(blocks).bit_length() if packets[0].alone else len(blocks)
    content = struct.pack("=Q", ring + 1) + run.tobytes() + blocks.ljust(room, b"\xee")
    return struct.pack("=II", len(content), 0) + content + bytes(-len(content) % 8)


@dataclass
class FakeRings:
    """One ring per CPU and maybe an overflow ring, filled by `put`, drained by `take`."""

    cpus: int
    data_bytes: int = 1 << 16
    page: int = PAGE
    offset_ns: int = 0
    """Wall-clock minus monotonic time with which runs are stamped."""
    overflow_bytes: int = 0

    def __post_init__(self) -> None:
        self.stride = self.page + self.data_bytes
        pages = 2 * self.page if self.overflow_bytes else 0
        self.overflow_at = self.cpus * self.stride
        self.longs = np.zeros((self.overflow_at + pages + self.overflow_bytes) // 8, np.int64)
        self.words = self.longs.view(np.uint32)
        self.memory = RingMemory(self.words, self.longs, self.stride, self.page, self.overflow_bytes)
        self.state = np.zeros(merge.STATE_SLOTS, np.int64)
        self.state[[merge.LEFT, merge.LEFT_FORWARD, merge.LEFT_REVERSE, merge.BYTES_LEFT, merge.FILE_LEFT]] = 1 << 62
        self.tallies = np.zeros((8, merge.FLAG_SETS, merge.TALLY_COLUMNS), np.int64)
        self.loop = loop_over(self.memory, self.state)
        self.copied = 0

    def control(self, cpu: int, word: int) -> int:
        return cpu * self.stride // 8 + (1024 + 8 * word) // 8

    def rewind(self, cpu: int, position: int) -> None:
        """Begin a ring at another position, so that blocks wrap around its end."""
        self.longs[self.control(cpu, 0)] = self.longs[self.control(cpu, 1)] = position
        self.loop.rings.cursors[cpu, [BLOCK_AT, RUN_END, SAMPLE_END]] = position

    def fits(self, cpu: int, *packets: Captured) -> bool:
        """True if a ring, and the overflow ring for what that has no room for, can take these packets."""
        room, over = self.room(cpu), self.overflow_bytes - self.overflows
        for run in submitted(packets):
            size = _in_ring(run_of(run, self.offset_ns))
            if size <= room:
                room -= size
            else:
                over -= len(record_of(cpu, run, self.offset_ns))
        return over >= 0

    def room(self, cpu: int) -> int:
        """Return the bytes that a ring has room for."""
        head, tail = (int(self.longs[self.control(cpu, word)]) for word in (0, 1))
        return self.data_bytes - (head - tail)

    @property
    def overflow_positions(self) -> tuple[int, int]:
        """Return where the positions of reader and producers are in `longs`."""
        return self.overflow_at // 8, (self.overflow_at + self.page) // 8

    @property
    def overflows(self) -> int:
        """Bytes that the overflow ring holds."""
        if not self.overflow_bytes:
            return 0
        read, written = self.overflow_positions
        return int(self.longs[written] - self.longs[read])

    def put(self, cpu: int, *packets: Captured) -> None:
        """Append packets that come one after the other, as the programs submit them."""
        for packets_of_run in submitted(packets):
            run = run_of(packets_of_run, self.offset_ns)
            if self.overflow_bytes and _in_ring(run) > self.room(cpu):
                self.put_over(record_of(cpu, packets_of_run, self.offset_ns))
            else:
                self.put_event(cpu, run)

    def put_over(self, record: bytes, header: int = 0) -> int:
        """Append a record to the overflow ring, with flags of its header. Returns where the header is in `words`."""
        written = self.overflow_positions[1]
        at = int(self.longs[written])
        assert self.overflows + len(record) <= self.overflow_bytes, "the overflow ring is full"
        start = self.overflow_at + 2 * self.page
        data = self.words.view(np.uint8)[start : start + self.overflow_bytes]
        data[np.arange(at, at + len(record)) % self.overflow_bytes] = np.frombuffer(record, np.uint8)
        place = (start + at % self.overflow_bytes) // 4
        self.words[place] |= header
        self.longs[written] = at + len(record)
        return place

    def put_event(self, cpu: int, raw: bytes, kind: int = SAMPLE) -> None:
        """Append one perf event; padding keeps the random bytes that were there."""
        size = _in_ring(raw)
        event = np.frombuffer(np.array([kind, size << 16, size - PERF_HEADERS], np.uint32).tobytes() + raw, np.uint8)
        head, tail = (int(self.longs[self.control(cpu, word)]) for word in (0, 1))
        assert head + size - tail <= self.data_bytes, "the ring is full"
        data = self.words.view(np.uint8)[cpu * self.stride + self.page : (cpu + 1) * self.stride]
        data[np.arange(head, head + size) % self.data_bytes] = 0xEE
        data[np.arange(head, head + len(event)) % self.data_bytes] = event
        self.longs[self.control(cpu, 0)] = head + size

    def take(self, final_ns: int = NEVER, offset_ns: int = 0) -> bytes:
        """Merge until no more blocks are final. Returns them."""
        snapshot(self.loop.rings)
        taken: list[bytes] = []
        before = self.tallies.copy()
        while write_portions(self.loop, final_ns, offset_ns, self.tallies, before, NO_FILE, 1)[2]:
            taken += map(bytes, parts(self.loop))
            self.copied += 4 * int(self.state[merge.COPIED])
            release(self.loop.rings)
        return b"".join(taken)


def _in_ring(raw: bytes) -> int:
    return (PERF_HEADERS + len(raw) + 7) & ~7
