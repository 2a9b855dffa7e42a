"""Records in rings -> blocks, byte for byte."""

import struct
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from capture.stream import merge
from capture.stream.layout import INBOUND, OUTBOUND, REVERSE, VLAN
from tests.unit.stream.rings import LOST, FakeRings, record


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


def test_what_is_no_sample_is_skipped() -> None:
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


def test_a_tag_beside_the_packet_is_put_back() -> None:
    rings = FakeRings(1)
    rings.put(0, record(1, bytes(range(50)), original=54, flags=INBOUND | VLAN, vlan=(0x8100, 0x2ABC)))
    tagged = bytes(range(12)) + b"\x81\x00\x2a\xbc" + bytes(range(12, 50))
    assert rings.take() == block(0, 1, tagged, 54, 1)


def test_what_is_not_final_stays_and_comes_later_in_order() -> None:
    rings = FakeRings(2)
    rings.put(0, record(10, b"a"), record(30, b"c"))
    rings.put(1, record(20, b"b"))
    assert rings.take(final_ns=20) == block(0, 10, b"a", 1, 1)
    rings.put(1, record(25, b"x"))
    assert rings.take() == b"".join(block(0, t, p, 1, 1) for t, p in [(20, b"b"), (25, b"x"), (30, b"c")])


def test_a_late_record_takes_the_time_of_the_one_before_and_is_counted() -> None:
    rings = FakeRings(2)
    rings.put(0, record(100, b"a"))
    rings.take()
    rings.put(1, record(90, b"b"))
    assert rings.take() == block(0, 100, b"b", 1, 1)
    assert (rings.state[merge.LATE], rings.state[merge.LATE_MOST_NS]) == (1, 10)


def test_over_the_limit_is_counted_not_written() -> None:
    rings = FakeRings(1)
    rings.state[merge.PACKETS_LEFT] = 2
    rings.put(0, *(record(t, b"abc", flags=INBOUND | REVERSE) for t in range(5)))
    assert len(rings.take()) == 2 * len(block(0, 0, b"abc", 3, 1))
    assert rings.tallies[0, INBOUND | REVERSE].tolist() == [2, 6, 3]


PACKETS = st.binary(min_size=1, max_size=200)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.lists(PACKETS, min_size=1, max_size=4), max_size=6), min_size=1, max_size=5),
    st.integers(1, 4000),
)
def test_law_every_record_once_and_in_order_whatever_the_rings_and_the_room(
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
