"""Packets that programs put into rings -> exact bytes in the output, and the account: the loop without a kernel."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.run.drain import HURRIED_PATIENCE_NS, PATIENCE_NS, Round
from capture.run.file_start import FileStart
from capture.run.section import closing_bytes
from capture.storage import Storage
from capture.stream.compiled import merge
from tests.unit.run.memory_capture import STEP_NS, Machine, SentPacket, at, blocks_of
from tests.unit.run.sinks import FULL, FakeSink
from tests.unit.stream.memory_rings import LOST

ASK, ANSWER = b"ask", b"answer"
BLOCK = len(SentPacket(0, ASK).block)


def conversation(count: int, apart: int = 1) -> list[SentPacket]:
    """Return requests and answers in turn, from time 1 on."""
    return [SentPacket(1 + n * apart, ANSWER if n % 2 else ASK, reverse=bool(n % 2)) for n in range(count)]


def test_an_empty_source_gives_a_file_without_packets_and_an_account_of_zeros() -> None:
    machine = Machine(cpus=3)
    assert machine.round() == Round(pending=False, full=False, end=None)
    machine.settle()
    account = machine.end()
    assert (account.seen, account.both.written, account.both.lost) == (0, 0, 0)
    assert machine.sink.content == [machine.opening + machine.closing(account, 0, machine.now)]


def test_packets_of_several_cpus_are_written_in_order_of_time() -> None:
    machine = Machine(cpus=3)
    packets = conversation(9)
    for number, packet in enumerate(packets):
        machine.packets(number * 2 % 3, packet)
    machine.settle()
    assert machine.blocks == blocks_of(packets)
    account = machine.end()
    assert (account.forward.written, account.forward.written_bytes) == (5, 5 * len(ASK))
    assert (account.reverse.written, account.reverse.written_bytes) == (4, 4 * len(ANSWER))
    assert machine.sink.content == [
        machine.opening + blocks_of(packets) + machine.closing(account, 0, machine.now),
    ]


def test_packets_of_one_time_are_written_in_the_order_of_the_rings() -> None:
    machine = Machine(cpus=2)
    first, second = SentPacket(5, b"ring 0"), SentPacket(5, b"ring 1")
    machine.packets(1, second)
    machine.packets(0, first)
    machine.settle()
    assert machine.blocks == blocks_of([first, second])


def test_a_packet_stays_in_its_ring_until_it_is_older_than_an_earlier_round() -> None:
    machine = Machine(cpus=2)
    old, young = SentPacket(1, b"old"), SentPacket(STEP_NS + 1, b"younger than the first round")
    machine.packets(0, old)
    machine.packets(1, young)
    assert machine.round() == Round(pending=True, full=False)
    assert machine.blocks == b""
    assert machine.round() == Round(pending=True, full=False)
    assert machine.blocks == old.block
    overtaken = SentPacket(STEP_NS, b"came meanwhile, and is older")
    machine.packets(0, overtaken)
    machine.settle()
    assert machine.blocks == blocks_of([old, overtaken, young])


def test_a_packet_in_a_batch_holds_back_all_younger_packets() -> None:
    machine = Machine(cpus=2)
    waits, before, behind = SentPacket(20, b"waits"), SentPacket(10, b"before"), SentPacket(30, b"behind")
    machine.packets(0, waits, wait=True)
    machine.packets(1, before, behind)
    machine.settle()
    assert machine.blocks == before.block
    assert machine.round().pending
    machine.now += PATIENCE_NS
    machine.settle()
    assert machine.blocks == blocks_of([before, waits, behind])


def test_a_packet_that_waits_in_a_batch_alone_is_pending() -> None:
    machine = Machine()
    machine.packets(0, SentPacket(1, ASK), wait=True)
    assert machine.round() == Round(pending=True, full=False)


@pytest.mark.parametrize(("share", "patience"), [(11, PATIENCE_NS), (7, HURRIED_PATIENCE_NS)])
def test_batches_are_flushed_sooner_while_rings_fill(share: int, patience: int) -> None:
    machine = Machine(ring_bytes=1 << 12)
    machine.packets(0, SentPacket(2 * STEP_NS, bytes((1 << 12) // share)))
    machine.round()
    machine.round()
    assert machine.source.flushed_before == [STEP_NS - PATIENCE_NS, 2 * STEP_NS - patience]


def test_a_ring_is_read_around_its_end_as_often_as_it_wraps() -> None:
    machine = Machine(cpus=2, ring_bytes=1 << 12)
    packets = []
    for number in range(200):
        packets.append(SentPacket(machine.now, bytes([number]) * (1 + 7 * number % 900)))
        machine.packets(number // 3 % 2, packets[-1])
        machine.settle()
    assert int(machine.source.rings.longs[machine.source.rings.control(0, 0)]) > 5 << 12
    assert machine.blocks == blocks_of(packets)
    assert machine.end().both.written == 200


def test_at_the_end_a_batch_that_found_its_ring_full_goes_before_younger_packets_of_other_cpus() -> None:
    machine = Machine(cpus=2, ring_bytes=1 << 12)
    full = machine.packets(0, SentPacket(1, bytes(1900)), SentPacket(2, bytes(1900)))
    waits = machine.packets(0, SentPacket(3, bytes(500)), wait=True)
    younger = machine.packets(1, SentPacket(4, bytes(100)))
    assert len(full + waits + younger) == 4
    account = machine.end()
    assert machine.blocks == blocks_of([*full, *waits, *younger]) + machine.closing(account, 0, machine.now)


def test_a_record_of_another_kind_is_not_a_packet() -> None:
    machine = Machine()
    packets = conversation(2)
    machine.packets(0, packets[0])
    machine.source.rings.put_event(0, bytes(20), kind=LOST)
    machine.packets(0, packets[1])
    machine.settle()
    assert machine.blocks == blocks_of(packets)
    assert machine.end().both.written == 2


LIMITS: list[tuple[dict[str, Any], int, str]] = [
    # limits of the spec; how many of ten packets of one batch are written; the reason for the end
    ({"count": 3}, 3, "count reached"),
    ({"count_forward": 2}, 3, "count of forward packets reached"),
    ({"count_reverse": 2}, 4, "count of reverse packets reached"),
    ({"count": 10}, 10, "count reached"),
]


@pytest.mark.parametrize(("fields", "written", "reason"), LIMITS)
def test_a_limit_ends_the_capture_in_the_middle_of_a_batch(fields: dict[str, Any], written: int, reason: str) -> None:
    machine = Machine(**fields)
    packets = conversation(10)
    machine.packets(0, *packets, wait=True)
    machine.now = PATIENCE_NS
    machine.round()
    assert machine.round() == Round(pending=True, full=False, end=reason)
    assert machine.blocks == blocks_of(packets[:written])
    assert machine.unread() == [0]
    account = machine.end()
    assert (account.both.written, account.both.over_limit, account.both.lost) == (written, 10 - written, 0)
    assert machine.sink.content == [
        machine.opening + blocks_of(packets[:written]) + machine.closing(account, 0, machine.now),
    ]


def test_a_limit_in_bytes_ends_the_capture_before_the_packet_that_does_not_fit() -> None:
    limit = 10_000
    machine = Machine(max_bytes=limit)
    packets = [SentPacket(1 + n, bytes(100)) for n in range(100)]
    machine.packets(0, *packets)
    room = limit - len(machine.opening) - closing_bytes(1)
    fit = room // len(packets[0].block)
    machine.round()
    assert machine.round().end == "size reached"
    assert machine.blocks == blocks_of(packets[:fit])
    account = machine.end()
    assert (account.both.written, account.both.over_limit) == (fit, 100 - fit)
    assert len(machine.sink.content[0]) <= limit


def test_packets_that_a_full_ring_refuses_are_counted_as_lost_and_those_it_holds_are_written() -> None:
    machine = Machine(ring_bytes=1 << 12)
    packets = [SentPacket(1 + n, bytes([n]) * 200) for n in range(30)]
    held = len(machine.packets(0, *packets))
    assert 0 < held < 30
    machine.settle()
    assert machine.blocks == blocks_of(packets[:held])
    later = SentPacket(machine.now, b"there is room again")
    machine.packets(0, later)
    machine.settle()
    assert machine.blocks == blocks_of([*packets[:held], later])
    account = machine.end()
    assert (account.seen, account.both.written, account.both.lost_by["ring_full"]) == (31, held + 1, 30 - held)


def test_a_batch_that_found_its_ring_full_is_written_once_the_ring_is_read() -> None:
    machine = Machine(ring_bytes=1 << 12)
    in_ring = [SentPacket(1 + n, bytes(1000)) for n in range(3)]
    waiting = [SentPacket(10 + n, bytes(800)) for n in range(2)]
    machine.packets(0, *in_ring)
    machine.packets(0, *waiting, wait=True)
    machine.now = PATIENCE_NS
    account = machine.end()
    assert machine.blocks == blocks_of(in_ring + waiting) + machine.closing(account, 0, machine.now)
    assert account.both.written == 5


def test_a_late_packet_has_the_time_of_the_one_before_it_and_is_counted() -> None:
    machine = Machine(cpus=2)
    first, late, later = SentPacket(1000, b"first"), SentPacket(400, b"late"), SentPacket(2000, b"later")
    machine.packets(0, first)
    machine.settle()
    machine.packets(1, late)
    machine.packets(0, later)
    machine.settle()
    assert machine.blocks == blocks_of([first, at(late, 1000), later])
    assert (machine.limits.state[merge.LATE], machine.limits.state[merge.LATE_MOST_NS]) == (1, 600)
    assert machine.end().both.written == 3


def test_while_the_output_has_no_room_nothing_is_moved_and_no_interface_is_introduced() -> None:
    machine = Machine()
    packets = conversation(4)
    machine.packets(0, *packets)
    machine.round()
    waiting, introduced = machine.unread(), []
    machine.sink.has_room = False
    for _ in range(3):
        machine.now += STEP_NS
        assert machine.drain.round(lambda: introduced.append("now")) == Round(pending=True, full=True)
    assert (machine.blocks, machine.unread(), introduced) == (b"", waiting, [])
    machine.sink.has_room = True
    machine.now += STEP_NS
    machine.drain.round(lambda: introduced.append("now"))
    assert (machine.blocks, machine.unread(), introduced) == (blocks_of(packets), [0], ["now"])
    assert machine.end().both.written == 4


def test_packets_that_an_output_never_accepts_are_lost_in_writing_and_those_that_arrived_are_written() -> None:
    machine = Machine(sink=FakeSink(lags=True))
    arrived, queued = conversation(3), [SentPacket(100, b"queued")]
    machine.packets(0, *arrived)
    machine.settle()
    machine.sink.arrive(1)
    machine.packets(0, *queued)
    machine.settle()
    machine.sink.took_per_flush = 0
    account = machine.end()
    assert machine.blocks == blocks_of(arrived)
    assert (account.both.written, account.both.lost_by["writing"]) == (3, 1)
    assert not machine.output.complete
    assert str(machine.output.failure) == "f stopped reading; the rest was not written"


def test_a_disk_that_fails_ends_the_capture_and_rings_are_still_read() -> None:
    machine = Machine()
    packets = conversation(6)
    machine.packets(0, *packets[:3])
    machine.settle()
    machine.sink.fail()
    machine.packets(0, *packets[3:])
    assert machine.round().end == str(FULL)
    assert machine.unread() == [0]
    account = machine.end()
    assert (account.both.written, account.both.lost_by["writing"]) == (3, 3)
    assert machine.sink.content == [
        machine.opening + blocks_of(packets[:3]) + machine.closing(account, 0, machine.now),
    ]


def test_a_full_file_is_completed_in_the_middle_of_a_batch_and_the_next_file_begins_with_the_next_packet() -> None:
    overhead = len(Machine().opening) + closing_bytes(1)
    machine = Machine(storage=Storage(file_bytes=overhead + 4 * BLOCK))
    opening = len(machine.opening)  # the spec, which is in it, is longer now
    fit = (overhead + 4 * BLOCK - opening - closing_bytes(1)) // BLOCK
    packets = [SentPacket(1 + n, ASK) for n in range(3 * fit)]
    machine.packets(0, *packets)
    machine.settle()
    machine.end()
    parts = [content.removeprefix(machine.opening) for content in machine.sink.content]
    assert len(parts) == 3
    assert [part[: fit * BLOCK] for part in parts] == [blocks_of(packets[n * fit : (n + 1) * fit]) for n in range(3)]
    assert all(len(content) <= overhead + 4 * BLOCK for content in machine.sink.content)


SECOND = 10**9
FILES = [
    # times of packets and of the end, in seconds; which packets are in which file
    ((0.2, 0.9, 1.1, 1.9), 2, [(0.2, 0.9), (1.1, 1.9)]),
    ((1.1, 1.2), 1.9, [(1.1, 1.2)]),
    ((0.5,), 2, [(0.5,), ()]),
    ((1.1, 2.2), 2.5, [(1.1,), (2.2,)]),
    ((3.5, 5.5), 5.6, [(3.5,), (5.5,)]),
]


@pytest.mark.parametrize(("times", "end", "files"), FILES)
def test_a_file_ends_at_its_time_and_an_empty_one_is_continued(
    times: tuple[float, ...], end: float, files: list[tuple[float, ...]]
) -> None:
    machine = Machine(storage=Storage(file_ns=SECOND))
    packets = {time: SentPacket(int(time * SECOND), ASK) for time in times}
    machine.packets(0, *packets.values())
    machine.now = int(end * SECOND)
    assert machine.end().both.written == len(packets)
    contents = [content.removeprefix(machine.opening) for content in machine.sink.content]
    expected = [blocks_of([packets[time] for time in file]) for file in files]
    assert [content[: len(blocks)] for content, blocks in zip(contents, expected, strict=True)] == expected


ORDERED = [
    # limits of files; times of packets, an order, and which packets are in which file, all in seconds
    (Storage(), (0.2, 0.9, 1.1), 1.0, [(0.2, 0.9), (1.1,)]),
    (Storage(), (0.2, 1.0), 1.0, [(0.2,), (1.0,)]),
    (Storage(), (1.1,), 1.0, [(), (1.1,)]),
    (Storage(), (0.2,), 1.0, [(0.2,), ()]),
    (Storage(file_ns=SECOND), (0.2, 1.1, 1.6), 1.5, [(0.2,), (1.1,), (1.6,)]),
    (Storage(), (0.2,), 9.0, [(0.2,)]),
]


@pytest.mark.parametrize(("storage", "times", "order", "files"), ORDERED)
def test_a_file_that_is_ordered_to_end_has_the_packets_before_that_time_and_the_next_one_those_from_then_on(
    storage: Storage, times: tuple[float, ...], order: float, files: list[tuple[float, ...]]
) -> None:
    machine = Machine(storage=storage)
    starts: list[FileStart] = []
    machine.output.on_file = starts.append
    packets = {time: SentPacket(int(time * SECOND), ASK) for time in times}
    machine.packets(0, *packets.values())
    machine.limits.end_file_at(int(order * SECOND))
    machine.now = 2 * SECOND
    assert machine.end().both.written == len(packets)
    contents = [content.removeprefix(machine.opening) for content in machine.sink.content]
    expected = [blocks_of([packets[time] for time in file]) for file in files]
    assert [content[: len(blocks)] for content, blocks in zip(contents, expected, strict=True)] == expected
    assert [start.ordered for start in starts].count(True) == (order < 2)
    if order < 2:
        (over,) = (start for start in starts if start.ordered)
        assert over.packets == sum(time < order for time in times)


def test_an_order_can_be_replaced_and_taken_back() -> None:
    machine = Machine()
    machine.packets(0, SentPacket(5, ASK), SentPacket(SECOND, ASK))
    machine.limits.end_file_at(3)
    machine.limits.end_file_at(10)
    machine.limits.end_file_at(None)
    machine.now = 2 * SECOND
    machine.end()
    assert len(machine.sink.content) == 1


def test_packets_that_a_full_file_left_in_its_ring_are_not_said_to_be_written() -> None:
    overhead = len(Machine().opening) + closing_bytes(1)
    machine = Machine(storage=Storage(file_bytes=overhead + 4 * BLOCK))
    machine.packets(0, *[SentPacket(1 + n, ASK) for n in range(50)])
    machine.round()
    while len(machine.sink.content) < 2:
        machine.round()
    assert machine.drain.written_until_ns == 0


def test_a_wall_clock_that_was_set_back_is_followed_in_the_next_file() -> None:
    machine = Machine(storage=Storage(file_ns=10**9))
    before, behind = SentPacket(1, ASK), SentPacket(10**9 + 1, ASK)
    machine.packets(0, before, behind)
    machine.clock.measured(-(10**6), 0)
    machine.now = behind.at
    machine.end()
    assert machine.blocks.startswith(before.block)
    assert at(behind, behind.at - 10**6).block in machine.sink.content[1]


def test_at_the_end_a_portion_waits_until_the_portion_before_it_is_written() -> None:
    machine = Machine(ring_bytes=1 << 20, sink=FakeSink(lags=True))
    queued: list[int] = []
    write = machine.sink.write

    def watched(*parts: memoryview | bytes) -> None:
        queued.append(len(machine.sink.queue))
        write(*parts)

    machine.sink.write = watched
    machine.packets(0, *[SentPacket(1 + n, bytes(1400)) for n in range(400)])
    assert machine.end().both.written == 400
    assert queued == [0] * len(queued)
    assert len(queued) > 2


def test_a_portion_of_large_packets_is_full_though_few_of_its_bytes_are_copied() -> None:
    machine = Machine(ring_bytes=1 << 20)
    packets = [SentPacket(1 + n, bytes(8192)) for n in range(40)]
    machine.packets(0, *packets)
    machine.round()
    assert machine.round() == Round(pending=True, full=True)
    assert machine.round() == Round(pending=True, full=False)
    assert machine.blocks == blocks_of(packets)


def test_a_full_portion_is_followed_by_the_next_round_at_once() -> None:
    machine = Machine(ring_bytes=1 << 20)
    packets = [SentPacket(1 + n, bytes(1400)) for n in range(400)]
    machine.packets(0, *packets)
    machine.round()
    portions: list[Round] = []
    while not portions or portions[-1].full:
        before = len(machine.blocks)
        portions.append(machine.round())
        assert len(machine.blocks) - before <= merge.PORTION + (1 << 16)
    assert [portion.full for portion in portions] == [True, True, False]
    assert machine.blocks == blocks_of(packets)


def test_a_large_packet_is_written_from_its_ring_before_the_ring_is_released() -> None:
    machine = Machine(ring_bytes=1 << 16)
    large = SentPacket(2, bytes(range(250)) * 100)
    unread_at_write: list[int] = []
    write = machine.sink.write

    def watched(*parts: memoryview | bytes) -> None:
        unread_at_write.extend(machine.unread())
        write(*parts)

    machine.sink.write = watched
    machine.packets(0, SentPacket(1, b"small"), large)
    machine.settle()
    assert machine.blocks == blocks_of([SentPacket(1, b"small"), large])
    assert unread_at_write[0] > len(large.data)
    assert machine.unread() == [0]


def test_the_source_is_told_how_many_bytes_wait_in_each_ring() -> None:
    machine = Machine(cpus=2)
    machine.packets(0, SentPacket(1, ASK))
    machine.packets(1, SentPacket(2, ASK), SentPacket(5 * STEP_NS, ASK))
    waiting = []
    for _ in range(2):
        machine.round()
        waiting.append(machine.unread())
    assert machine.source.reported == waiting
    assert [[bytes_left > 0 for bytes_left in rings] for rings in waiting] == [[True, True], [False, True]]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.binary(min_size=14, max_size=300), st.booleans(), st.booleans()), max_size=60
    ),
    st.sets(st.integers(0, 60)),
    st.integers(0, 50),
)
def test_law_each_packet_is_written_once_and_in_order_or_counted_as_over_the_limit_or_lost(
    arrivals: list[tuple[int, bytes, bool, bool]], rounds: set[int], count: int
) -> None:
    machine = Machine(cpus=3, ring_bytes=1 << 12, count=count or None)
    kept: list[SentPacket] = []
    for number, (cpu, data, reverse, waits) in enumerate(arrivals):
        machine.now += STEP_NS // 7
        kept += machine.packets(cpu, SentPacket(machine.now, data, reverse), wait=waits)
        if number in rounds:
            machine.round()
    account = machine.end()
    written = kept[: count or None]
    assert machine.blocks == blocks_of(written) + machine.closing(account, 0, machine.now)
    assert account.both.written == len(written)
    assert account.both.over_limit == len(kept) - len(written)
    assert account.both.lost_by["ring_full"] == len(arrivals) - len(kept)
