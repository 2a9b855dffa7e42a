"""The overflow ring of a real kernel: a burst that nobody reads fills a ring and it, and all is there in order."""

import struct

import numpy as np
import pytest

from capture.filters.filter_h import filter_program
from capture.kernel import syscall
from capture.kernel.counters import online_cpus, possible_cpus
from capture.kernel.pressure import PressureGauge
from capture.sampling.levels import OnPressure
from capture.sampling.sampler import Sampling
from capture.sampling.sampling_h import sampling_program
from capture.spec import SNAPLEN_MAX
from capture.stream.compiled import merge
from capture.stream.compiled.cursors import BLOCK_AT, NEVER, release, snapshot
from capture.stream.compiled.merge import Loop
from capture.stream.compiled.portions import NO_FILE, loop_over, parts, write_portions
from testbed import packets
from tests.kernel.harness import RING_BYTES, Programs

OVERFLOW_BYTES = 2 * RING_BYTES


def frame(number: int, size: int) -> bytes:
    return packets.udp("10.0.0.1", 1, "10.0.0.2", 2, struct.pack("=I", number) + bytes(size - 46))


def loop_of(programs: Programs) -> Loop:
    state = np.zeros(merge.STATE_SLOTS, np.int64)
    state[[merge.LEFT, merge.LEFT_FORWARD, merge.LEFT_REVERSE, merge.BYTES_LEFT, merge.FILE_LEFT]] = 1 << 62
    return loop_over(programs.rings.memory, state)


def read(programs: Programs, loop: Loop) -> list[bytes]:
    """Return the packets in all rings, taken out of their blocks."""
    syscall.prog_test_run(programs.descriptors["flush_waiting"], bytes(14))
    snapshot(loop.rings)
    moved, blocks = np.zeros((1, merge.FLAG_SETS, merge.TALLY_COLUMNS), np.int64), b""
    while write_portions(loop, NEVER, 0, moved, moved.copy(), NO_FILE, 1)[2]:
        blocks += b"".join(map(bytes, parts(loop)))
        release(loop.rings)
    found: list[bytes] = []
    at = 0
    while at < len(blocks):
        kind, total, _, _, _, captured, original = struct.unpack_from("=7I", blocks, at)
        assert (kind, captured) == (6, original)
        assert struct.unpack_from("=HHIII", blocks, at + total - 16) == (2, 4, 2, 0, total)
        found.append(blocks[at + 28 : at + 28 + captured])
        at += total
    return found


@pytest.mark.parametrize(
    ("sizes", "batching", "share"), [((100,), 1, 0.7), ((100, 3000), 1, 0.5), ((100, 3000), 0, 0.4)]
)
def test_a_burst_without_a_reader_fills_a_ring_and_the_overflow_ring(
    sizes: tuple[int, ...], batching: int, share: float
) -> None:
    with Programs(
        filter_program([]), snaplen=SNAPLEN_MAX, OVERFLOW_BYTES=OVERFLOW_BYTES, BATCHING=batching
    ) as programs:
        loop = loop_of(programs)
        sent = 0
        for _ in range(2):  # the second time around the ends of both rings
            lost = int(programs.counters()["forward"]["lost_ring_full"])
            first = sent
            while int(programs.counters()["forward"]["lost_ring_full"]) == lost:
                for _ in range(64):
                    frame_sent = frame(sent, sizes[sent % len(sizes)])
                    syscall.prog_test_run(programs.descriptors["from_pod"], frame_sent)
                    sent += 1
            found = [*read(programs, loop), *read(programs, loop)]
            numbers = [struct.unpack_from("=I", packet, 42)[0] for packet in found]
            lost_now = int(programs.counters()["forward"]["lost_ring_full"]) - lost
            assert len(found) == sent - first - lost_now
            assert numbers == sorted(set(numbers))
            assert all(
                packet == frame(number, sizes[number % len(sizes)])
                for packet, number in zip(found, numbers, strict=True)
            )
            # More than a ring; a slow machine flushes batches before they are full, and has more beginnings of runs.
            assert sum(map(len, found)) * 1.44 >= share * (RING_BYTES + OVERFLOW_BYTES)
        assert int(programs.counters()["forward"]["lost_other"]) == 0


def test_pressure_begins_at_half_of_both_rings_and_knows_what_was_read() -> None:
    measures = sampling_program(Sampling(), (OnPressure.TRUNCATE,))
    room = RING_BYTES + OVERFLOW_BYTES
    with Programs(
        filter_program([]), snaplen=SNAPLEN_MAX, sampling=measures, OVERFLOW_BYTES=OVERFLOW_BYTES
    ) as programs:
        gauge = PressureGauge(programs.module, programs.batches, online_cpus(), possible_cpus(), room)
        loop = loop_of(programs)

        def waiting() -> int:
            """Report what waits, and return it."""
            snapshot(loop.rings)
            waits = loop.rings.heads - loop.rings.cursors[:, BLOCK_AT]
            gauge.report(waits, 1)
            return int(waits[: len(waits) // 2].max() + waits[len(waits) // 2 :].max())

        sent = packets.tcp("10.0.0.1", 1, "10.0.0.2", 2, payload=bytes(900))
        while not gauge.changes:
            for _ in range(16):
                syscall.prog_test_run(programs.descriptors["from_pod"], sent)
            half = waiting()
        assert room // 2 <= half <= room * 6 // 10
        read(programs, loop)
        assert waiting() == 0
        before = gauge.changes[-1].level
        for _ in range(200):
            syscall.prog_test_run(programs.descriptors["from_pod"], sent)
        assert 0 < waiting() < room // 8
        assert gauge.changes[-1].level == before
        gauge.close()
