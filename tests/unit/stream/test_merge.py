"""Records in rings -> blocks, byte for byte."""

import struct
from dataclasses import dataclass, field
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.abi import INBOUND, OUTBOUND, REVERSE, VLAN
from capture.stream.compiled import merge
from tests.unit.stream.memory_rings import LOST, FakeRings, record


def block(interface: int, time: int, packet: bytes, original: int, flags: int) -> bytes:
    """An Enhanced Packet Block with epb_flags, as draft-ietf-opsawg-pcapng 4.3 writes it."""
    data = packet + bytes(-len(packet) % 4)
    total = 32 + len(data) + 12
    return (
        struct.pack("<IIIIIII", 6, total, interface, time >> 32, time & 0xFFFFFFFF, len(packet), original)
        + data
        + struct.pack("<HHIII", 2, 4, flags, 0, total)
    )


def test_a_record_becomes_a_block_with_zero_padding() -> None:
    rings = FakeRings(1)
    rings.put(0, record(7, b"abcde", original=99, interface=3, flags=OUTBOUND))
    assert rings.take(offset_ns=5 << 32) == block(3, (5 << 32) + 7, b"abcde", 99, 2)


def test_a_sample_holds_many_records() -> None:
    rings = FakeRings(1)
    rings.put(0, record(1, b"a"), record(2, b"bcd"), record(3, b"e" * 60))
    rings.put(0, record(4, b"f" * 9))
    expected = [(1, b"a"), (2, b"bcd"), (3, b"e" * 60), (4, b"f" * 9)]
    assert rings.take() == b"".join(block(0, t, p, len(p), 1) for t, p in expected)
    assert rings.longs[rings.control(0, 1)] == rings.longs[rings.control(0, 0)]


def test_an_event_that_is_not_a_sample_is_skipped() -> None:
    rings = FakeRings(1)
    rings.put(0, bytes(20), kind=LOST)
    rings.put(0, record(1, b"a"))
    rings.put(0, bytes(4), kind=LOST)
    assert rings.take() == block(0, 1, b"a", 1, 1)
    assert rings.longs[rings.control(0, 1)] == rings.longs[rings.control(0, 0)]


def test_a_record_may_wrap_around_the_end_of_its_ring_anywhere() -> None:
    packet = bytes(range(100))
    for before_end in range(0, 160, 8):
        rings = FakeRings(1, data_bytes=8192)
        rings.rewind(0, 3 * 8192 - before_end)
        rings.put(0, record(1, packet), record(2, packet))
        assert rings.take() == block(0, 1, packet, 100, 1) + block(0, 2, packet, 100, 1)


@pytest.mark.parametrize("page", [16 << 10, 64 << 10])
def test_pages_may_be_as_large_as_on_arm64(page: int) -> None:
    rings = FakeRings(2, data_bytes=128 << 10, page=page)
    rings.rewind(1, 3 * (128 << 10) - 40)
    rings.put(0, record(2, b"b" * 60))
    rings.put(1, record(1, b"a" * 60), record(3, b"c" * 60))
    expected = [(1, b"a"), (2, b"b"), (3, b"c")]
    assert rings.take() == b"".join(block(0, time, letter * 60, 60, 1) for time, letter in expected)


@pytest.mark.parametrize("length", [merge.LARGE - 1, merge.LARGE, merge.LARGE + 1, merge.LARGE + 2, 20_000])
@pytest.mark.parametrize("tag", [0, VLAN])
def test_a_large_packet_is_the_same_wherever_it_wraps(length: int, tag: int) -> None:
    packet = (bytes(range(251)) * 80)[:length]
    vlan = (0x8100, 0x2ABC) if tag else (0, 0)
    written = packet[:12] + b"\x81\x00\x2a\xbc" * bool(tag) + packet[12:]
    for before_end in (0, 8, 40, 44, 48, 64, 4096, 8000, length, length + 64):
        rings = FakeRings(1, data_bytes=1 << 16)
        rings.rewind(0, 3 * (1 << 16) - before_end // 8 * 8)
        rings.put(0, record(1, b"before"), record(2, packet, flags=INBOUND | tag, vlan=vlan), record(3, b"behind"))
        expected = [(1, b"before", 6), (2, written, length), (3, b"behind", 6)]
        assert rings.take() == b"".join(block(0, at, data, size, 1) for at, data, size in expected)
        assert rings.longs[rings.control(0, 1)] == rings.longs[rings.control(0, 0)]


def test_more_large_packets_than_fit_one_call() -> None:
    rings = FakeRings(2, data_bytes=1 << 21)
    packets = [bytes([n]) * (merge.LARGE + n) for n in range(200)]
    for n, packet in enumerate(packets):
        rings.put(n % 2, record(n, packet))
    assert rings.take(room=1 << 23) == b"".join(block(0, n, p, len(p), 1) for n, p in enumerate(packets))


def test_a_tag_that_was_taken_out_is_put_back() -> None:
    rings = FakeRings(1)
    rings.put(0, record(1, bytes(range(50)), original=54, flags=INBOUND | VLAN, vlan=(0x8100, 0x2ABC)))
    tagged = bytes(range(12)) + b"\x81\x00\x2a\xbc" + bytes(range(12, 50))
    assert rings.take() == block(0, 1, tagged, 54, 1)


def test_a_record_that_is_not_final_stays_and_is_written_later_in_order() -> None:
    rings = FakeRings(2)
    rings.put(0, record(10, b"a"), record(30, b"c"))
    rings.put(1, record(20, b"b"))
    assert rings.take(final_ns=20) == block(0, 10, b"a", 1, 1)
    rings.put(1, record(25, b"x"))
    assert rings.take() == b"".join(block(0, t, p, 1, 1) for t, p in [(20, b"b"), (25, b"x"), (30, b"c")])


def test_a_late_record_gets_the_time_of_the_record_before_it_and_is_counted() -> None:
    rings = FakeRings(2)
    rings.put(0, record(100, b"a"))
    rings.take()
    rings.put(1, record(90, b"b"))
    assert rings.take() == block(0, 100, b"b", 1, 1)
    assert (rings.state[merge.LATE], rings.state[merge.LATE_MOST_NS]) == (1, 10)


def test_records_over_the_limit_are_counted_and_not_written() -> None:
    rings = FakeRings(1)
    rings.state[merge.LEFT] = 2
    rings.put(0, *(record(t, b"abc", flags=INBOUND | REVERSE) for t in range(5)))
    assert len(rings.take()) == 2 * len(block(0, 0, b"abc", 3, 1))
    assert rings.tallies[0, INBOUND | REVERSE].tolist() == [2, 6, 3]
    rings.put(0, record(9, b"abc"))
    assert rings.take() == b""
    assert rings.tallies[0, INBOUND].tolist() == [0, 0, 1]
    assert rings.longs[rings.control(0, 1)] == rings.longs[rings.control(0, 0)]


FORWARD_IN, REVERSE_OUT = INBOUND, OUTBOUND | REVERSE
BLOCK_3 = len(block(0, 0, b"abc", 3, 1))
NOTHING = 0

LIMITS = [
    # limits of the state, of ten packets, forward and reverse in turn, so many are written; which limit it was
    ({merge.LEFT: 1}, 1, merge.LEFT),
    ({merge.LEFT: 7}, 7, merge.LEFT),
    ({merge.LEFT: 10}, 10, merge.LEFT),
    ({merge.LEFT: 11}, 10, NOTHING),
    ({merge.LEFT_FORWARD: 3}, 5, merge.LEFT_FORWARD),
    ({merge.LEFT_REVERSE: 3}, 6, merge.LEFT_REVERSE),
    ({merge.LEFT_FORWARD: 3, merge.LEFT_REVERSE: 2}, 4, merge.LEFT_REVERSE),
    ({merge.LEFT: 5, merge.LEFT_FORWARD: 3}, 5, merge.LEFT),
    ({merge.LEFT_FORWARD: 6, merge.LEFT_REVERSE: 6}, 10, NOTHING),
    ({merge.BYTES_LEFT: 4 * BLOCK_3}, 4, merge.BYTES_LEFT),
    ({merge.BYTES_LEFT: 5 * BLOCK_3 - 1}, 4, merge.BYTES_LEFT),
    ({merge.BYTES_LEFT: BLOCK_3 - 1}, 0, merge.BYTES_LEFT),
    ({merge.BYTES_LEFT: 10 * BLOCK_3}, 10, NOTHING),
    ({merge.BYTES_LEFT: 5 * BLOCK_3, merge.LEFT_REVERSE: 2}, 4, merge.LEFT_REVERSE),
    ({merge.BYTES_LEFT: 3 * BLOCK_3, merge.LEFT_REVERSE: 2}, 3, merge.BYTES_LEFT),
]


@pytest.mark.parametrize(("limits", "written", "reached"), LIMITS)
def test_limits_are_exact_and_the_first_one_counts(limits: dict[int, int], written: int, reached: int) -> None:
    rings = FakeRings(2)
    for slot, limit in limits.items():
        rings.state[slot] = limit
    for time in range(10):
        rings.put(time // 5, record(time, b"abc", flags=REVERSE_OUT if time % 2 else FORWARD_IN))
    blocks = [block(0, time, b"abc", 3, OUTBOUND if time % 2 else INBOUND) for time in range(written)]
    assert rings.take() == b"".join(blocks)
    assert rings.state[merge.REACHED] == reached
    forward, reverse = (written + 1) // 2, written // 2
    assert rings.tallies[0, FORWARD_IN].tolist() == [forward, 3 * forward, 5 - forward]
    assert rings.tallies[0, REVERSE_OUT].tolist() == [reverse, 3 * reverse, 5 - reverse]


def test_after_a_packet_without_room_no_smaller_one_is_written() -> None:
    rings = FakeRings(1)
    rings.state[merge.BYTES_LEFT] = 2 * BLOCK_3
    rings.put(0, record(1, b"abc"), record(2, b"abcde"), record(3, b"abc"))
    assert rings.take() == block(0, 1, b"abc", 3, 1)
    assert rings.tallies[0, INBOUND].tolist() == [1, 3, 2]


def test_a_file_ends_before_the_packet_that_does_not_fit_and_the_next_one_begins_with_it() -> None:
    rings = FakeRings(1)
    rings.state[merge.FILE_LEFT] = 2 * BLOCK_3 + 43
    rings.put(0, *(record(time, b"abc") for time in range(5)))
    assert rings.take() == block(0, 0, b"abc", 3, 1) + block(0, 1, b"abc", 3, 1)
    assert (rings.state[merge.FILE_FULL], rings.state[merge.FILE_PACKETS], rings.state[merge.FILE_LEFT]) == (1, 2, 43)
    assert rings.take() == b""
    assert rings.tallies[0, INBOUND].tolist() == [2, 6, 0]
    rings.state[[merge.FILE_FULL, merge.FILE_PACKETS]] = 0
    rings.state[merge.FILE_LEFT] = 3 * BLOCK_3
    assert rings.take() == b"".join(block(0, time, b"abc", 3, 1) for time in (2, 3, 4))
    assert (rings.state[merge.FILE_FULL], rings.state[merge.FILE_LEFT]) == (0, 0)
    assert rings.longs[rings.control(0, 1)] == rings.longs[rings.control(0, 0)]


@pytest.mark.parametrize("left", [BLOCK_3, 0, -1000])
def test_a_packet_that_is_larger_than_a_file_has_a_file_of_its_own(left: int) -> None:
    rings = FakeRings(1)
    rings.state[merge.FILE_LEFT] = left
    rings.put(0, record(1, bytes(500)), record(2, b"abc"))
    assert rings.take() == block(0, 1, bytes(500), 500, 1)
    assert (rings.state[merge.FILE_FULL], rings.state[merge.FILE_PACKETS]) == (1, 1)


def test_a_tag_that_is_put_back_counts_in_the_size() -> None:
    tagged = record(1, bytes(50), original=54, flags=INBOUND | VLAN, vlan=(0x8100, 1))
    size = len(block(0, 1, bytes(54), 54, 1))
    for room, written in ((size, 1), (size - 1, 0)):
        rings = FakeRings(1)
        rings.state[merge.BYTES_LEFT] = room
        rings.put(0, tagged)
        assert len(rings.take()) == size * written
        assert rings.tallies[0, INBOUND].tolist() == [written, 54 * written, 1 - written]
    rings = FakeRings(1)
    rings.state[merge.FILE_LEFT] = 2 * size - 1
    rings.put(0, tagged, tagged)
    assert len(rings.take()) == size
    assert rings.state[merge.FILE_FULL] == 1


@dataclass
class Written:
    """The output of a capture with limits, computed one packet at a time: the oracle of the law below."""

    left: dict[int, int]
    file_bytes: int
    files: list[bytes] = field(default_factory=lambda: [b""])
    reached: int = NOTHING
    over: int = 0

    def packet(self, encoded: bytes, side: int) -> None:
        if not self.reached and len(encoded) > self.left[merge.BYTES_LEFT]:
            self.reached = merge.BYTES_LEFT
        if self.reached:
            self.over += 1
            return
        if self.files[-1] and len(self.files[-1]) + len(encoded) > self.file_bytes:
            self.files.append(b"")
        self.files[-1] += encoded
        for slot, amount in ((side, 1), (merge.LEFT, 1), (merge.BYTES_LEFT, len(encoded))):
            self.left[slot] -= amount
            if slot != merge.BYTES_LEFT and self.left[slot] == 0:
                self.reached = slot


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.binary(min_size=14, max_size=120), st.booleans(), st.booleans()), max_size=40),
    st.tuples(*[st.integers(1, 50)] * 3),
    st.integers(0, 5000),
    st.integers(1, 1000),
)
def test_law_limits_and_files_are_those_of_one_packet_at_a_time(
    packets: list[tuple[bytes, bool, bool]], counts: tuple[int, int, int], max_bytes: int, file_bytes: int
) -> None:
    limits = dict(zip((merge.LEFT, merge.LEFT_FORWARD, merge.LEFT_REVERSE), counts, strict=True))
    limits[merge.BYTES_LEFT] = max_bytes
    expected = Written(dict(limits), file_bytes)
    rings = FakeRings(1)
    for slot, limit in limits.items():
        rings.state[slot] = limit
    for time, (packet, reverse, tagged) in enumerate(packets):
        flags = (REVERSE_OUT if reverse else FORWARD_IN) | (VLAN if tagged else 0)
        rings.put(0, record(time, packet, flags=flags, vlan=(0x8100, 5)))
        if tagged:
            packet = packet[:12] + b"\x81\0\0\5" + packet[12:]
        expected.packet(
            block(0, time, packet, len(packet) - 4 * tagged, flags & 3),
            merge.LEFT_REVERSE if reverse else merge.LEFT_FORWARD,
        )
    files = []
    for number in count():
        rings.state[merge.FILE_LEFT] = file_bytes
        rings.state[[merge.FILE_FULL, merge.FILE_PACKETS]] = 0
        files.append(rings.take(room=300))
        if not rings.state[merge.FILE_FULL]:
            break
        assert number < len(packets), "no file got a packet"
    assert files == expected.files
    assert rings.state[merge.REACHED] == expected.reached
    assert rings.tallies[..., 2].sum() == expected.over
    assert rings.tallies[..., 0].sum() == len(packets) - expected.over


PACKETS = st.binary(min_size=1, max_size=200)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.lists(PACKETS, min_size=1, max_size=4), max_size=6), min_size=1, max_size=5),
    st.integers(1, 4000),
)
def test_law_every_record_is_written_once_and_in_order_for_any_rings_and_any_room(
    cpus: list[list[list[bytes]]], room: int
) -> None:
    rings = FakeRings(len(cpus))
    time, expected = 0, []
    for cpu, samples in enumerate(cpus):
        time = 13 * cpu
        for sample in samples:
            records = []
            for packet in sample:
                time += len(packet)
                records.append(record(time, packet, interface=cpu))
                expected.append((time, cpu, packet))
            rings.put(cpu, *records)
    expected.sort(key=lambda e: (e[0], e[1]))
    taken = rings.take(room=room)
    assert taken == b"".join(block(cpu, t, packet, len(packet), 1) for t, cpu, packet in expected)
    assert all(a[0] <= b[0] for a, b in pairwise(expected))
    assert rings.tallies[:, :, 0].sum() == len(expected)
