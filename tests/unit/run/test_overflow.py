"""The overflow ring: what a CPU's ring has no room for is in the file in its order, and its memory is used again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.plan import RING_MIN, share_buffer
from capture.run.drain import Round
from capture.stream.compiled.cursors import NEVER
from tests.unit.run.memory_capture import STEP_NS, Machine, SentPacket, at, blocks_of
from tests.unit.stream.memory_rings import FakeRings, captured, record_of, submitted

BUSY, DISCARDED = 1 << 31, 1 << 30


def machine_with(ring_bytes: int = 1 << 12, overflow_bytes: int = 1 << 14, cpus: int = 2) -> Machine:
    return Machine(cpus=cpus, ring_bytes=ring_bytes, overflow_bytes=overflow_bytes)


def burst(machine: Machine, count: int, size: int = 500, cpu: int = 0) -> list[SentPacket]:
    """Packets of one CPU, a nanosecond apart; those that were not lost."""
    packets = [SentPacket(machine.now + 1 + number, bytes([number % 256]) * size) for number in range(count)]
    return machine.packets(cpu, *packets)


def test_a_burst_of_one_cpu_fills_its_ring_and_then_the_overflow_ring() -> None:
    machine = machine_with()
    kept = burst(machine, 60)
    assert len(kept) * 544 > 1 << 14
    machine.settle()
    assert machine.blocks == blocks_of(kept)
    assert machine.end().both.lost == 60 - len(kept)
    passed, most = machine.drain.overflow
    assert passed == most > 0.9 * (1 << 14)


def test_the_overflow_ring_is_used_again_and_again_around_its_end_by_every_cpu() -> None:
    machine = machine_with(cpus=3)
    kept: list[SentPacket] = []
    for number in range(40):
        kept += burst(machine, 14 + number % 5, size=300 + 61 * number % 700, cpu=number % 3)
        machine.settle()
    assert machine.drain.overflow[0] > 4 << 14
    assert machine.blocks == blocks_of(kept)
    assert machine.end().both.lost == 0


def test_large_packets_are_whole_there_with_their_tag() -> None:
    rings = FakeRings(1, 1 << 13, overflow_bytes=1 << 16)
    packets = [captured(n, bytes([n]) * (3000 + n), original=9000, vlan=(0x8100, n)) for n in range(1, 10)]
    rings.put(0, *packets)
    assert rings.overflows > 20_000
    assert rings.take() == b"".join(packet.block(0) for packet in packets)


def test_what_came_first_is_written_first_whichever_ring_it_is_in() -> None:
    machine = machine_with()
    first = burst(machine, 20)
    machine.now += 1000
    others = burst(machine, 3, cpu=1)
    machine.now += 1000
    last = burst(machine, 10)
    machine.settle()
    assert machine.blocks == blocks_of([*first, *others, *last])


def test_a_record_that_is_being_written_hides_nothing_when_nothing_is_behind_it() -> None:
    machine, rings = (made := machine_with()), made.source.rings
    kept = burst(machine, 20)
    late = SentPacket(machine.now + STEP_NS, b"in the batch until it is copied")
    place = rings.put_over(record_of(0, [late.captured], 0), BUSY)
    machine.settle()
    assert machine.blocks == blocks_of(kept)
    rings.words[place] &= ~BUSY & 0xFFFFFFFF
    machine.settle()
    assert machine.blocks == blocks_of([*kept, late])


def test_nothing_is_final_while_another_cpus_record_is_hidden_behind_one_that_is_being_written() -> None:
    machine, rings = (made := machine_with()), made.source.rings
    hidden = SentPacket(machine.now + 1, b"hidden")
    younger = SentPacket(machine.now + 2, b"in a ring")
    written = SentPacket(machine.now + 3, b"being written")
    place = rings.put_over(record_of(0, [written.captured], 0), BUSY)
    rings.put_over(record_of(1, [hidden.captured], 0))
    machine.packets(1, younger)
    for _ in range(3):
        assert machine.round() == Round(pending=True, full=False)
    assert machine.blocks == b""
    rings.words[place] &= ~BUSY & 0xFFFFFFFF
    machine.settle()
    assert machine.blocks == blocks_of([hidden, younger, written])


def test_a_discarded_record_is_passed_over() -> None:
    rings = FakeRings(1, 1 << 12, overflow_bytes=1 << 14)
    packets = [captured(n, bytes([n]) * 100) for n in range(3)]
    for packet, flags in zip(packets, (0, DISCARDED, 0), strict=True):
        rings.put_over(record_of(0, [packet], 0), flags)
    assert rings.take() == packets[0].block(0) + packets[2].block(0)
    assert rings.overflows == 0


def test_a_late_record_gets_the_time_of_the_packet_before_it() -> None:
    machine, rings = (made := machine_with()), made.source.rings
    machine.packets(1, SentPacket(5 * STEP_NS, b"in time"))
    machine.now = 10 * STEP_NS
    machine.settle()
    late = SentPacket(3 * STEP_NS, b"late")
    rings.put_over(record_of(0, [late.captured], 0))
    machine.settle()
    assert machine.blocks == blocks_of([SentPacket(5 * STEP_NS, b"in time"), at(late, 5 * STEP_NS)])


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.one_of(st.binary(min_size=14, max_size=300), st.integers(1900, 2400).map(bytes)),
            st.booleans(),
        ),
        max_size=60,
    ),
    st.sets(st.integers(0, 60)),
)
def test_law_each_packet_is_written_once_and_in_order_or_counted_as_lost(
    arrivals: list[tuple[int, bytes, bool]], rounds: set[int]
) -> None:
    machine = machine_with(overflow_bytes=1 << 13, cpus=3)
    kept: list[SentPacket] = []
    for number, (cpu, data, waits) in enumerate(arrivals):
        machine.now += STEP_NS // 7
        kept += machine.packets(cpu, SentPacket(machine.now, data), wait=waits)
        if number in rounds:
            machine.round()
    account = machine.end()
    assert machine.blocks == blocks_of(kept) + machine.closing(account, 0, machine.now)
    assert account.both.written == len(kept)
    assert account.both.lost_by["ring_full"] == len(arrivals) - len(kept)


@pytest.mark.parametrize("cpus", [2, 3, 16, 128])
def test_the_buffer_is_all_that_rings_take_and_one_cpu_can_use_what_the_others_do_not(cpus: int) -> None:
    ring, overflow = share_buffer(64 << 20, cpus, overflows=True)
    assert ring * cpus + overflow <= 64 << 20
    assert ring >= RING_MIN
    assert overflow == 32 << 20
    assert ring + overflow >= (48 << 20 if cpus == 2 else 32 << 20)


@pytest.mark.parametrize(
    ("buffer", "cpus", "overflows"), [(64 << 20, 1, True), (16 << 20, 128, True), (1 << 20, 2, False)]
)
def test_without_use_or_room_or_kernel_for_it_each_cpu_has_its_share(buffer: int, cpus: int, overflows: bool) -> None:
    assert share_buffer(buffer, cpus, overflows) == (buffer // cpus, 0)


@pytest.mark.slow
def test_of_128_cpus_any_may_burst_by_as_much_as_a_single_ring_of_that_memory_holds() -> None:
    buffer, cpus = 32 << 20, 128
    ring, overflow = share_buffer(buffer, cpus, overflows=True)
    rings = FakeRings(cpus, ring, overflow_bytes=overflow)
    packets = [captured(number, bytes(40)) for number in range(150)]
    record = record_of(0, packets, 0)
    for cpu in (0, 64, 127):
        for _ in range(overflow // len(record)):
            rings.put(cpu, *packets)
        assert len(rings.take(NEVER)) == overflow // len(record) * 150 * len(packets[0].block(0))
        assert rings.overflows == 0
    assert rings.tallies[..., 0].sum() == 3 * (overflow // len(record)) * len(submitted(tuple(packets))[0])
