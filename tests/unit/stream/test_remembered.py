"""Packets that CPUs remembered -> blocks in order of time, and an exact count of those that were overwritten."""

import random

import numpy as np

from capture.abi import INBOUND, OUTBOUND, REVERSE
from capture.stream.compiled import chunks
from capture.stream.remembered import Remembered, filled_bytes, packets_so_far, reaches_since
from testbed.foreign_blocks import enhanced
from tests.unit.stream.chunk_memories import CHUNK_BYTES, FakeMemory

LATER = 1 << 62


def everything(reader: Remembered, until_ns: int = LATER, offset_ns: int = 0) -> bytes:
    taken = b""
    while len(portion := reader.take(until_ns, offset_ns)):
        taken += portion.tobytes()
    return taken


def block(at_ns: int, data: bytes = b"a packet", flags: int = OUTBOUND) -> bytes:
    return enhanced("<", data, at_ns, flags=flags)


def test_packets_of_all_cpus_are_in_order_of_time_on_the_clock_of_the_file() -> None:
    memory = FakeMemory(cpus=3, chunks=64)
    for at in range(100):
        memory.put(1000 + at, b"%d" % at, cpu=random.Random(at).randrange(3))
    reader = Remembered(memory.arrays, 0, 1)
    assert everything(reader, offset_ns=5) == b"".join(block(1005 + at, b"%d" % at) for at in range(100))
    assert (reader.packets, reader.overwritten, reader.late) == (100, 0, 0)


def test_a_span_has_the_packets_from_its_first_to_before_its_last_time() -> None:
    memory = FakeMemory(chunks=64)
    for at in range(100):
        memory.put(at)
    reader = Remembered(memory.arrays, 30, 1)
    assert everything(reader, 60) == b"".join(map(block, range(30, 60)))
    memory.put(100)
    assert everything(reader) == b"".join(map(block, range(60, 101)))


def test_the_flag_of_the_reverse_direction_is_counted_and_does_not_reach_the_file() -> None:
    memory = FakeMemory(cpus=2)
    memory.put(1, b"out", slot=1)
    memory.put(2, b"back", cpu=1, flags=INBOUND | REVERSE, slot=1)
    reader = Remembered(memory.arrays, 0, 2)
    raw = everything(reader)
    ours = raw.replace(b"\1\0\0\0\1\0\0\0", b"")  # the interface is compared by the counts
    assert ours
    assert reader.moved[1, OUTBOUND].tolist() == [1, 3, 0]
    assert reader.moved[1, INBOUND | REVERSE].tolist() == [1, 4, 0]
    assert raw[-8:] == bytes(4) + len(block(2, b"back")).to_bytes(4, "little")
    assert raw[-12:-8] == INBOUND.to_bytes(4, "little")


def test_what_was_overwritten_is_counted_and_the_rest_is_whole() -> None:
    memory = FakeMemory(chunks=4)
    for at in range(1000):
        memory.put(at)
    reader = Remembered(memory.arrays, 0, 1)
    first = reaches_since(memory.arrays)
    assert 0 < first < 1000
    assert everything(reader) == b"".join(map(block, range(first, 1000)))
    for at in range(1000, 1500):  # the reader stood still meanwhile
        memory.put(at)
    again = reaches_since(memory.arrays)
    assert everything(reader) == b"".join(map(block, range(again, 1500)))
    assert reader.overwritten == again - 1000
    assert packets_so_far(memory.arrays) == 1500


def test_a_portion_that_was_overwritten_while_it_was_copied_is_thrown_away() -> None:
    memory = FakeMemory(chunks=4)
    for at in range(10):
        memory.put(at)
    arrays = memory.arrays.compiled
    parts = np.zeros((1, chunks.PART_COLUMNS), np.int64)
    chunks.seek(arrays, parts, 0)
    state = np.zeros(chunks.CHUNK_STATE_SLOTS, np.int64)
    state[chunks.BYTES_LEFT] = state[chunks.BEFORE] = LATER
    for at in range(10, 400):
        memory.put(at)
    scratch = parts.copy(), np.zeros(1, np.int64)
    moved, out = np.zeros((1, 8, 3), np.int64), np.zeros(1 << 16, np.uint32)
    size = chunks.take(arrays, parts, *scratch, 0, LATER, 0, out, moved, moved.copy(), state, state.copy())
    first = reaches_since(memory.arrays)
    assert out.view(np.uint8)[:size].tobytes() == b"".join(map(block, range(first, 400)))
    assert parts[0, chunks.MISSED] == first


def test_the_bytes_that_may_be_taken_are_never_exceeded() -> None:
    memory = FakeMemory()
    for at in range(5):
        memory.put(at)
    reader = Remembered(memory.arrays, 0, 1, most=2 * len(block(0)) + 1)
    assert everything(reader) == block(0) + block(1)
    assert reader.cut


def test_a_packet_that_is_older_than_one_already_taken_gets_its_time() -> None:
    memory = FakeMemory(cpus=2)
    memory.put(100)
    reader = Remembered(memory.arrays, 0, 1)
    assert everything(reader) == block(100)
    memory.put(90, cpu=1)
    assert everything(reader) == block(100)
    assert reader.late == 1


def test_the_bytes_of_each_cpu_only_grow() -> None:
    memory = FakeMemory(cpus=2)
    before = 0
    for at in range(200):
        memory.put(at, cpu=1)
        filled = filled_bytes(memory.arrays)
        assert filled[0] == 0
        assert filled[1] > before
        before = filled[1]
    assert before <= 200 * len(block(0)) <= before + CHUNK_BYTES * 200
