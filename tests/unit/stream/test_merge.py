"""Runs of blocks in rings -> blocks in order, byte for byte."""

import struct
from dataclasses import dataclass, field
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.abi import INBOUND, OUTBOUND, REVERSE
from capture.stream.compiled import merge
from capture.stream.compiled.cursors import NEVER
from tests.unit.stream.memory_rings import LARGEST_BATCHED, LOST, FakeRings, captured


def block(interface: int, time: int, packet: bytes, original: int, flags: int) -> bytes:
    """An Enhanced Packet Block with epb_flags, as draft-ietf-opsawg-pcapng 4.3 writes it."""
    data = packet + bytes(-len(packet) % 4)
    total = 32 + len(data) + 12
    return (
        struct.pack("<IIIIIII", 6, total, interface, time >> 32, time & 0xFFFFFFFF, len(packet), original)
        + data
        + struct.pack("<HHIII", 2, 4, flags, 0, total)
    )


def test_a_block_goes_out_as_it_is() -> None:
    rings = FakeRings(1, offset_ns=5 << 32)
    rings.put(0, captured(7, b"abcde", original=99, interface=3, flags=OUTBOUND))
    assert rings.take(offset_ns=5 << 32) == block(3, (5 << 32) + 7, b"abcde", 99, 2)


def test_a_run_holds_many_blocks() -> None:
    rings = FakeRings(1)
    rings.put(0, captured(1, b"a"), captured(2, b"bcd"), captured(3, b"e" * 60))
    rings.put(0, captured(4, b"f" * 9))
    expected = [(1, b"a"), (2, b"bcd"), (3, b"e" * 60), (4, b"f" * 9)]
    assert rings.take() == b"".join(block(0, t, p, len(p), 1) for t, p in expected)
    assert rings.longs[rings.control(0, 1)] == rings.longs[rings.control(0, 0)]


def test_an_event_that_is_not_a_sample_is_skipped() -> None:
    rings = FakeRings(1)
    rings.put_event(0, bytes(20), kind=LOST)
    rings.put(0, captured(1, b"a"))
    rings.put_event(0, bytes(4), kind=LOST)
    assert rings.take() == block(0, 1, b"a", 1, 1)
    assert rings.longs[rings.control(0, 1)] == rings.longs[rings.control(0, 0)]


def test_a_block_may_wrap_around_the_end_of_its_ring_anywhere() -> None:
    packet = bytes(range(100))
    for before_end in range(0, 160, 8):
        rings = FakeRings(1, data_bytes=8192)
        rings.rewind(0, 3 * 8192 - before_end)
        rings.put(0, captured(1, packet), captured(2, packet))
        assert rings.take() == block(0, 1, packet, 100, 1) + block(0, 2, packet, 100, 1)


@pytest.mark.parametrize("page", [16 << 10, 64 << 10])
def test_pages_may_be_as_large_as_on_arm64(page: int) -> None:
    rings = FakeRings(2, data_bytes=128 << 10, page=page)
    rings.rewind(1, 3 * (128 << 10) - 40)
    rings.put(0, captured(2, b"b" * 60))
    rings.put(1, captured(1, b"a" * 60), captured(3, b"c" * 60))
    expected = [(1, b"a"), (2, b"b"), (3, b"c")]
    assert rings.take() == b"".join(block(0, time, letter * 60, 60, 1) for time, letter in expected)


def test_a_stretch_that_is_long_enough_is_written_from_where_it_lies_and_a_short_one_is_copied() -> None:
    for packets, copied in ((10, True), (50, False)):
        rings = FakeRings(1)
        rings.put(0, *(captured(n, b"abc") for n in range(packets)))
        assert (packets * BLOCK_3 < merge.PIECE_LEAST) == copied
        assert rings.take() == b"".join(block(0, n, b"abc", 3, 1) for n in range(packets))
        assert rings.copied == copied * packets * BLOCK_3


LENGTHS = [LARGEST_BATCHED - 4, *range(LARGEST_BATCHED - 1, LARGEST_BATCHED + 12), 20_000, 65_001]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("vlan", [None, (0x8100, 0x2ABC)])
@pytest.mark.parametrize("stamped", [0, 1 << 40])
def test_a_large_packet_is_the_same_wherever_it_wraps(
    length: int, vlan: tuple[int, int] | None, stamped: int
) -> None:
    packet = (bytes(range(251)) * 260)[:length]
    written = packet[:12] + b"\x81\x00\x2a\xbc" * bool(vlan) + packet[12:]
    for before_end in (0, 8, 40, 44, 48, 64, 88, 96, 104, 136, 4096, 8000, length, length + 64):
        rings = FakeRings(1, data_bytes=1 << 17, offset_ns=stamped)
        rings.rewind(0, 3 * (1 << 17) - before_end // 8 * 8)
        rings.put(0, captured(1, b"before"), captured(2, packet, vlan=vlan), captured(3, b"behind"))
        expected = [(1, b"before", 6), (2, written, len(written)), (3, b"behind", 6)]
        assert rings.take() == b"".join(block(0, at, data, size, 1) for at, data, size in expected)
        assert rings.longs[rings.control(0, 1)] == rings.longs[rings.control(0, 0)]


def test_more_large_packets_than_fit_one_portion() -> None:
    rings = FakeRings(2, data_bytes=1 << 21)
    packets = [bytes([n]) * (8192 + n) for n in range(200)]
    for n, packet in enumerate(packets):
        rings.put(n % 2, captured(n, packet))
    assert rings.take() == b"".join(block(0, n, p, len(p), 1) for n, p in enumerate(packets))


def test_more_packets_just_too_large_for_a_batch_than_one_portion_has_pieces() -> None:
    rings = FakeRings(1, data_bytes=1 << 21)
    packets = [bytes([n % 256]) * (LARGEST_BATCHED + 9) for n in range(500)]
    rings.put(0, *(captured(n, packet) for n, packet in enumerate(packets)))
    assert rings.take() == b"".join(block(0, n, p, len(p), 1) for n, p in enumerate(packets))


def test_a_block_with_a_tag_goes_out_as_it_is() -> None:
    rings = FakeRings(1)
    rings.put(0, captured(1, bytes(range(50)), original=54, vlan=(0x8100, 0x2ABC)))
    tagged = bytes(range(12)) + b"\x81\x00\x2a\xbc" + bytes(range(12, 50))
    assert rings.take() == block(0, 1, tagged, 54, 1)


def test_a_block_that_is_not_final_stays_and_is_written_later_in_order() -> None:
    rings = FakeRings(2)
    rings.put(0, captured(10, b"a"), captured(30, b"c"))
    rings.put(1, captured(20, b"b"))
    assert rings.take(final_ns=20) == block(0, 10, b"a", 1, 1)
    rings.put(1, captured(25, b"x"))
    assert rings.take() == b"".join(block(0, t, p, 1, 1) for t, p in [(20, b"b"), (25, b"x"), (30, b"c")])


@pytest.mark.parametrize("size", [1, 5000])
def test_a_late_packet_gets_the_time_of_the_one_before_it_and_is_counted(size: int) -> None:
    rings = FakeRings(2)
    rings.put(0, captured(100, b"a"))
    rings.take()
    rings.put(1, captured(90, b"b" * size), captured(95, b"c"), captured(100, b"d"))
    late = block(0, 100, b"b" * size, size, 1) + block(0, 100, b"c", 1, 1)
    assert rings.take() == late + block(0, 100, b"d", 1, 1)
    assert (rings.state[merge.LATE], rings.state[merge.LATE_MOST_NS]) == (2, 10)


def test_blocks_of_a_run_that_was_stamped_before_the_clock_was_set_get_the_offset_of_the_file() -> None:
    rings = FakeRings(2, offset_ns=1 << 50)
    rings.put(0, captured(1, b"a" * 3000), captured(2, b"b"), captured(4, b"d"))
    rings.offset_ns = -(1 << 20)
    rings.put(1, captured((1 << 20) + 3, b"c"))
    later = (1 << 20) + 3
    expected = [(1, b"a" * 3000), (2, b"b"), (4, b"d"), (later, b"c")]
    assert rings.take(offset_ns=7) == b"".join(block(0, t + 7, p, len(p), 1) for t, p in expected)
    assert rings.state[merge.LATE] == 0


def test_packets_over_the_limit_are_counted_and_not_written() -> None:
    rings = FakeRings(1)
    rings.state[merge.LEFT] = 2
    rings.put(0, *(captured(t, b"abc", flags=INBOUND | REVERSE) for t in range(5)))
    assert len(rings.take()) == 2 * len(block(0, 0, b"abc", 3, 1))
    assert rings.tallies[0, INBOUND | REVERSE].tolist() == [2, 6, 3]
    rings.put(0, captured(9, b"abc"))
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
        rings.put(time // 5, captured(time, b"abc", flags=REVERSE_OUT if time % 2 else FORWARD_IN))
    blocks = [block(0, time, b"abc", 3, OUTBOUND if time % 2 else INBOUND) for time in range(written)]
    assert rings.take() == b"".join(blocks)
    assert rings.state[merge.REACHED] == reached
    forward, reverse = (written + 1) // 2, written // 2
    assert rings.tallies[0, FORWARD_IN].tolist() == [forward, 3 * forward, 5 - forward]
    assert rings.tallies[0, REVERSE_OUT].tolist() == [reverse, 3 * reverse, 5 - reverse]


def test_after_a_packet_without_room_no_smaller_one_is_written() -> None:
    rings = FakeRings(1)
    rings.state[merge.BYTES_LEFT] = 2 * BLOCK_3
    rings.put(0, captured(1, b"abc"), captured(2, b"abcde"), captured(3, b"abc"))
    assert rings.take() == block(0, 1, b"abc", 3, 1)
    assert rings.tallies[0, INBOUND].tolist() == [1, 3, 2]


def test_a_file_ends_before_the_packet_that_does_not_fit_and_the_next_one_begins_with_it() -> None:
    rings = FakeRings(1)
    rings.state[merge.FILE_LEFT] = 2 * BLOCK_3 + 43
    rings.put(0, *(captured(time, b"abc") for time in range(5)))
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
    rings.put(0, captured(1, bytes(500)), captured(2, b"abc"))
    assert rings.take() == block(0, 1, bytes(500), 500, 1)
    assert (rings.state[merge.FILE_FULL], rings.state[merge.FILE_PACKETS]) == (1, 1)


def test_a_tag_that_is_put_back_counts_in_the_size() -> None:
    tagged = captured(1, bytes(50), original=54, vlan=(0x8100, 1))
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
        flags = REVERSE_OUT if reverse else FORWARD_IN
        rings.put(0, captured(time, packet, flags=flags, vlan=(0x8100, 5) if tagged else None))
        if tagged:
            packet = packet[:12] + b"\x81\0\0\5" + packet[12:]
        expected.packet(
            block(0, time, packet, len(packet), flags & 3),
            merge.LEFT_REVERSE if reverse else merge.LEFT_FORWARD,
        )
    files = []
    for number in count():
        rings.state[merge.FILE_LEFT] = file_bytes
        rings.state[[merge.FILE_FULL, merge.FILE_PACKETS]] = 0
        files.append(rings.take())
        if not rings.state[merge.FILE_FULL]:
            break
        assert number < len(packets), "no file got a packet"
    assert files == expected.files
    assert rings.state[merge.REACHED] == expected.reached
    assert rings.tallies[..., 2].sum() == expected.over
    assert rings.tallies[..., 0].sum() == len(packets) - expected.over


PACKETS = st.one_of(st.binary(min_size=12, max_size=200), st.integers(2000, 2100).map(bytes))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.lists(PACKETS, min_size=1, max_size=4), max_size=6), min_size=1, max_size=5),
    st.lists(st.integers(0, 6000), max_size=5),
    st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_law_every_packet_is_written_once_and_in_order_for_any_rings_and_any_interruption(
    cpus: list[list[list[bytes]]], finals: list[int], tagged: list[bool]
) -> None:
    rings = FakeRings(len(cpus))
    time, expected = 0, []
    for cpu, samples in enumerate(cpus):
        time = 13 * cpu
        for sample in samples:
            packets = []
            for packet in sample:
                time += len(packet)
                vlan = (0x8100, cpu) if tagged[cpu] else None
                packets.append(captured(time, packet, interface=cpu, vlan=vlan, flags=INBOUND | REVERSE * (time & 1)))
                expected.append((time, cpu, packets[-1].tagged))
            rings.put(cpu, *packets)
    expected.sort(key=lambda e: (e[0], e[1]))
    taken = b"".join(rings.take(final) for final in (*sorted(finals), NEVER))
    assert taken == b"".join(block(cpu, t, packet, len(packet), 1) for t, cpu, packet in expected)
    assert all(a[0] <= b[0] for a, b in pairwise(expected))
    assert rings.tallies[:, [INBOUND, INBOUND | REVERSE], merge.PACKETS].sum() == len(expected)
    assert rings.tallies[:, INBOUND | REVERSE, merge.PACKETS].sum() == sum(t & 1 for t, *_ in expected)
