"""Ring memory as the kernel would write it, made from plain values: for tests and for simulations of many CPUs."""

from dataclasses import dataclass, field

import numpy as np

from capture.abi import PACKET_RECORD, PERF_HEADERS
from capture.stream.compiled import merge

PAGE = 4096
SAMPLE, LOST = 9, 2


@dataclass
class FakeRings:
    """One ring per CPU, filled by `put`, drained by `take`."""

    cpus: int
    data_bytes: int = 1 << 16
    page: int = PAGE
    blocks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stride = self.page + self.data_bytes
        self.longs = np.zeros(self.cpus * self.stride // 8, np.int64)
        self.words = self.longs.view(np.uint32)
        self.heads = np.zeros(self.cpus, np.int64)
        self.cursors = np.zeros((self.cpus, 2), np.int64)
        self.state = np.zeros(merge.STATE_SLOTS, np.int64)
        self.state[[merge.LEFT, merge.LEFT_FORWARD, merge.LEFT_REVERSE, merge.BYTES_LEFT, merge.FILE_LEFT]] = 1 << 62
        self.tallies = np.zeros((8, merge.FLAG_SETS, 3), np.int64)

    def control(self, cpu: int, word: int) -> int:
        return cpu * self.stride // 8 + (1024 + 8 * word) // 8

    def rewind(self, cpu: int, position: int) -> None:
        """Begin a ring at another position, so that records wrap around its end."""
        self.longs[self.control(cpu, 0)] = self.longs[self.control(cpu, 1)] = position
        self.cursors[cpu] = position

    def fits(self, cpu: int, *records: bytes) -> bool:
        """True if a ring has room for one perf sample with these records."""
        size = (PERF_HEADERS + sum(map(len, records)) + 7) & ~7
        head, tail = (int(self.longs[self.control(cpu, word)]) for word in (0, 1))
        return head + size - tail <= self.data_bytes

    def put(self, cpu: int, *records: bytes, kind: int = SAMPLE) -> None:
        """Append one perf sample with some records; padding keeps the random bytes that were there."""
        raw = b"".join(records)
        size = (PERF_HEADERS + len(raw) + 7) & ~7
        sample = np.frombuffer(np.array([kind, size << 16, size - PERF_HEADERS], np.uint32).tobytes() + raw, np.uint8)
        assert self.fits(cpu, *records), "the ring is full"
        head = int(self.longs[self.control(cpu, 0)])
        data = self.words.view(np.uint8)[cpu * self.stride + self.page : (cpu + 1) * self.stride]
        data[np.arange(head, head + size) % self.data_bytes] = 0xEE
        data[np.arange(head, head + len(sample)) % self.data_bytes] = sample
        self.longs[self.control(cpu, 0)] = head + size

    def take(self, final_ns: int = merge.NEVER, offset_ns: int = 0, room: int = 1 << 20) -> bytes:
        """Merge until no more records are final. Returns the blocks."""
        pieces = np.zeros((merge.PIECES_MOST, merge.PIECE_COLUMNS), np.int64)
        out = np.full(room // 4 + merge.LARGEST_BLOCK_WORDS, 0xDDDDDDDD, np.uint32)
        merge.snapshot(self.longs, self.stride, self.heads)
        taken = []
        while True:
            count = merge.merge(
                self.words, self.longs, self.stride, self.page, self.heads, self.cursors,
                final_ns, offset_ns, out, pieces, self.state, self.tallies,
            )  # fmt: skip
            blocks, rings = out[:count].view(np.uint8).data, self.words.view(np.uint8).data
            taken += [bytes(part) for part in merge.parts(blocks, rings, pieces[: self.state[merge.PIECES]])]
            merge.release(self.longs, self.stride, self.cursors)
            if not count:
                return b"".join(taken)


def record(
    timestamp_ns: int, packet: bytes, *, original: int | None = None, interface: int = 0, flags: int = 1,
    vlan: tuple[int, int] = (0, 0),
) -> bytes:  # fmt: skip
    """Return one record as bpf/abi.h defines it; `vlan` is (protocol, TCI)."""
    header = np.zeros(1, PACKET_RECORD)
    header["timestamp_ns"], header["captured"] = timestamp_ns, len(packet)
    header["original"] = len(packet) if original is None else original
    header["interface"], header["flags"] = interface, flags
    header["vlan_protocol"] = int.from_bytes(vlan[0].to_bytes(2, "big"), "little")
    header["vlan_tci"] = vlan[1]
    return header.tobytes() + packet + b"\xee" * (-len(packet) % 8)
