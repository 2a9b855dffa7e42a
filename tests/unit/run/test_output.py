"""Blocks, rotations and failures of a sink -> files whose statistics add up to the account."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.abi import HOOKS, INBOUND, INTERFACE_COUNTERS, OUTBOUND, REVERSE
from capture.errors import SinkError, SpecError
from capture.plan import Interface, Place, make_plan, next_interface, place_of
from capture.run.account import Account, DirectionAccount, check, total
from capture.run.ledger import Ledger
from capture.run.limits import Limits
from capture.run.output import Output
from capture.run.roster import Roster
from capture.run.section import COMMENT_MAX, Span, closing, closing_bytes, opening
from capture.spec import MAX_BYTES_MIN, CaptureSpec, Hook
from capture.storage import Storage
from capture.stream.compiled import merge
from tests.unit.run.sinks import FULL, GONE, FakeSink

S = 10**9
BLOCK = b"\6\0\0\0" + struct.pack("<I", 48) + bytes(36) + struct.pack("<I", 48)


class OutputWorld:
    """A capture's output with a fake sink, and counters that a test moves: two interfaces, both directions."""

    def __init__(self, sink: FakeSink | None = None, **fields: Any) -> None:
        spec = CaptureSpec(
            interfaces=("va", "vb"), storage=fields.pop("storage", Storage(file_bytes=10**9)), **fields
        )
        found = [place_of(Interface("va", 1, 2)), place_of(Interface("vb", 2, 2))]
        self.plan = make_plan(spec, found, Hook.TCX, [0], batching=True)
        self.sink = sink or FakeSink()
        self.ledger, self.limits = Ledger(2), Limits(spec)
        self.rows = np.zeros(2 * HOOKS, INTERFACE_COUNTERS)
        self.now = 0
        self.roster = Roster()
        for planned in self.plan.interfaces:
            self.roster.add(planned, self.now)
        self.output = Output(self.plan, self.roster, self.sink, self.ledger, self.limits, self.accounts)

    def accounts(self) -> list[Account]:
        return self.ledger.accounts(self.rows)

    def begin(self) -> "OutputWorld":
        self.output.begin("synchronised", 0, self.now)
        return self

    def come(self, name: str, **names: str) -> str | None:
        """Add an interface that begins now, and names of addresses (10_0_0_1="web")."""
        planned = next_interface(
            self.roster.interfaces, Place(interface=Interface(name, 9, 2), name=name, description="")
        )
        before = self.ledger.moved.copy()
        self.roster.add(planned, self.now)
        self.ledger.grow(len(self.roster.members))
        self.rows = np.append(self.rows, np.zeros(HOOKS, INTERFACE_COUNTERS))
        self.output.names |= {ip_address(a.strip("_").replace("_", ".")): n for a, n in names.items()}
        return self.output.add_interfaces([planned], before)

    def pass_by(
        self, packets: int, interface: int = 0, reverse: bool = False, name: str = "matched", by: str = ""
    ) -> None:
        """Count packets of a direction that the programs saw; `by` is another counter that includes them."""
        row = self.rows[interface * HOOKS]
        row["seen"] += packets
        for count in filter(None, (name, by)):
            row["reverse" if reverse else "forward"][count] += packets

    def write(self, packets: int = 1, interface: int = 0, reverse: bool = False) -> str | None:
        """Count packets as seen and matched, and write them with one call."""
        self.pass_by(packets, interface, reverse)
        before = self.ledger.moved.copy()
        self.ledger.moved[interface, OUTBOUND | (REVERSE if reverse else 0)] += (packets, 4 * packets, 0)
        return self.output.write([memoryview(BLOCK * packets)], before)

    def next_file(self, more: str = "") -> str | None:
        self.now += S
        return self.output.next_file("synchronised", 0, self.now, more)

    def end(self, more: str = "") -> Account:
        """End the capture; accounts must add up. Returns the account."""
        self.now += S
        self.output.end(self.now, 0, more)
        check(self.accounts())
        return total(self.accounts())


@dataclass(frozen=True)
class StatisticsBlock:
    """One Interface Statistics Block, read as the draft defines it."""

    interface: int
    start_ns: int
    end_ns: int
    received: int
    dropped: int
    accepted: int
    delivered: int
    comment: str


def parse(content: bytes) -> tuple[list[int], list[StatisticsBlock]]:
    """Return the types of all blocks, and the statistics."""
    kinds, found, at = [], [], 0
    while at < len(content):
        kind, size = struct.unpack_from("<II", content, at)
        assert content[at + size - 4 : at + size] == content[at + 4 : at + 8]
        kinds.append(kind)
        if kind == 5:
            options, place = {}, at + 20
            while place < at + size - 4:
                code, length = struct.unpack_from("<HH", content, place)
                options[code] = content[place + 4 : place + 4 + length]
                place += 4 + (length + 3 & ~3)
            high, low = struct.unpack("<II", options[2])
            end_high, end_low = struct.unpack("<II", options[3])
            received, dropped, accepted, delivered = (struct.unpack("<Q", options[code])[0] for code in (4, 5, 6, 8))
            begin_ns, end_ns = high << 32 | low, end_high << 32 | end_low
            comment = options.get(1, b"").decode()
            (interface,) = struct.unpack_from("<I", content, at + 8)
            assert SECTION not in kinds or interface < kinds.count(INTERFACE), "the file does not know the interface"
            found.append(
                StatisticsBlock(interface, begin_ns, end_ns, received, dropped, accepted, delivered, comment)
            )
        at += size
    return kinds, found


SECTION, INTERFACE, NAMES, PACKET, STATISTICS = 0x0A0D0D0A, 1, 4, 6, 5


def test_a_file_has_its_interfaces_its_packets_and_its_statistics() -> None:
    world = OutputWorld().begin()
    assert world.write(3) is None
    assert world.write(2, interface=1, reverse=True) is None
    world.end()
    assert world.output.complete
    assert world.output.failure is None
    (content,) = world.sink.content
    kinds, found = parse(content)
    assert kinds == [SECTION, INTERFACE, INTERFACE, *[PACKET] * 5, STATISTICS, STATISTICS]
    assert found == [StatisticsBlock(0, 0, S, 3, 0, 3, 3, ""), StatisticsBlock(1, 0, S, 2, 0, 2, 2, "")]


def test_every_file_is_complete_and_has_the_statistics_of_its_own_time() -> None:
    world = OutputWorld().begin()
    world.write(3)
    assert world.next_file() is None
    world.write(4, reverse=True)
    world.write(5, interface=1)
    assert world.next_file() is None
    world.end()
    files = [parse(content) for content in world.sink.content]
    packets = (3, 9, 0)
    assert [kinds for kinds, _ in files] == [
        [SECTION, INTERFACE, INTERFACE, *[PACKET] * count, STATISTICS, STATISTICS] for count in packets
    ]
    assert [(s.start_ns, s.end_ns, s.delivered) for _, found in files for s in found] == [
        (0, S, 3), (0, S, 0), (S, 2 * S, 4), (S, 2 * S, 5), (2 * S, 3 * S, 0), (2 * S, 3 * S, 0),
    ]  # fmt: skip


STEP = st.tuples(
    st.sampled_from(["write", "unmatched", "sampled_by_flow", "lost_ring_full", "over", "next"]),
    st.integers(1, 9),
    st.integers(0, 1),
    st.booleans(),
)


@given(st.lists(STEP, max_size=30), st.integers(0, 30), st.booleans())
def test_law_the_statistics_of_all_files_add_up_to_the_account(
    steps: list[tuple[str, int, int, bool]], fails_at: int, lags: bool
) -> None:
    world = OutputWorld(FakeSink(lags=lags)).begin()
    for number, (what, packets, interface, reverse) in enumerate(steps):
        if number == fails_at:
            world.sink.arrive(packets)  # some of what a thread had to do
            world.sink.fail()
        if what == "write":
            world.write(packets, interface, reverse)
        elif what == "next":
            if world.output.failure is None:
                world.next_file()
        elif what == "unmatched":
            world.rows[interface * HOOKS]["seen"] += packets
            world.rows[interface * HOOKS]["unmatched"] += packets
        elif what == "over":
            world.pass_by(packets, interface, reverse)
            world.ledger.moved[interface, INBOUND | (REVERSE if reverse else 0), 2] += packets
        else:
            world.pass_by(packets, interface, reverse, by=what)
    world.end()
    assert world.output.complete
    accounts, found = world.accounts(), [parse(content) for content in world.sink.content]
    for interface, account in enumerate(accounts):
        of_files = [s for _, statistics in found for s in statistics if s.interface == interface]
        assert len(of_files) == len(world.sink.content)
        assert sum(s.received for s in of_files) == account.seen
        assert sum(s.accepted for s in of_files) == account.both.matched
        assert sum(s.delivered for s in of_files) == account.both.written
        assert sum(s.dropped for s in of_files) == account.both.lost
        for earlier, later in pairwise(of_files):
            assert earlier.end_ns == later.start_ns
    for kinds, statistics in found:
        assert kinds.count(PACKET) == sum(s.delivered for s in statistics)


def test_packets_of_a_failed_write_are_lost_and_the_file_is_still_completed() -> None:
    world = OutputWorld().begin()
    world.write(3)
    world.sink.fail()
    assert world.write(2) == str(FULL)
    account = world.end()
    assert (account.both.written, account.both.lost_by["writing"]) == (3, 2)
    assert world.sink.finished
    assert (world.output.failure, world.output.complete) == (FULL, True)
    _, found = parse(world.sink.content[0])
    assert [(s.delivered, s.dropped) for s in found] == [(3, 2), (0, 0)]


@pytest.mark.parametrize("arrived", range(6))
def test_accepted_packets_that_did_not_arrive_are_lost_when_the_error_comes_late(arrived: int) -> None:
    world = OutputWorld(FakeSink(lags=True)).begin()
    for packets in (1, 10, 100, 1000):
        assert world.write(packets) is None
    world.sink.arrive(arrived)
    world.sink.fail()
    assert world.output.check() == str(FULL)
    world.write(10_000)
    account = world.end()
    written = int("1111"[: max(arrived - 1, 0)][::-1] or "0")  # the first call wrote the opening blocks
    assert (account.both.written, account.both.lost) == (written, 11_111 - written)
    assert account.forward.written_bytes == 4 * written


def test_after_an_error_the_end_of_a_file_does_not_delay_counting() -> None:
    world = OutputWorld(storage=Storage(file_ns=S)).begin()
    assert world.limits.final_in_file(99 * S) == S
    world.sink.fail()
    world.write()
    assert world.limits.final_in_file(99 * S) == 99 * S


def test_packets_that_have_arrived_stay_written_after_a_later_error() -> None:
    world = OutputWorld(FakeSink(lags=True)).begin()
    for _ in range(1000):
        world.write()
        world.sink.arrive(2)
        assert len(world.output._before) <= 2, "what has arrived is kept"
    world.sink.fail()
    world.write(5)
    assert world.end().both.written == 1000


def test_the_present_file_is_continued_to_the_end_if_the_next_cannot_begin() -> None:
    world = OutputWorld().begin()
    world.write(3)
    world.sink.fail()
    assert world.next_file() == str(FULL)
    world.write(2)
    assert world.end().both.written == 3
    (content,) = world.sink.content
    _, found = parse(content)
    assert [(s.start_ns, s.end_ns, s.received, s.delivered) for s in found] == [(0, 2 * S, 5, 3), (0, 2 * S, 0, 0)]


def test_the_last_file_written_has_the_statistics_of_files_that_were_queued_when_the_sink_failed() -> None:
    world = OutputWorld(FakeSink(lags=True)).begin()
    world.write(1)
    world.next_file()
    world.write(10)
    world.next_file()
    world.write(100)
    world.next_file()
    world.sink.arrive(3)  # opening, packet, next file
    world.sink.fail()
    assert world.output.check() == str(FULL)
    assert world.end().both.written == 1
    first, second = (parse(content)[1] for content in world.sink.content)
    assert [(s.start_ns, s.end_ns, s.received, s.delivered, s.dropped) for s in (first[0], second[0])] == [
        (0, S, 1, 1, 0),
        (S, 4 * S, 110, 0, 110),
    ]


def test_the_state_of_complete_files_is_dropped() -> None:
    world = OutputWorld(FakeSink(lags=True)).begin()
    for _ in range(100):
        world.next_file()
        world.sink.arrive(2)
    assert len(world.output._begun) <= 3


def test_nothing_is_written_to_a_reader_that_is_gone() -> None:
    world = OutputWorld(FakeSink(name="-")).begin()
    world.write(3)
    world.sink.fail(GONE)
    assert world.write(2) == str(GONE)
    assert world.end().both.written == 3
    assert not world.output.complete
    assert not world.sink.finished
    assert parse(world.sink.content[0])[1] == []


@pytest.mark.parametrize(
    ("name", "message"),
    [("-", "the reader of standard output stopped reading"), ("/run/f", "/run/f stopped reading")],
)
def test_a_reader_that_stops_reading_at_the_end_is_given_up(name: str, message: str) -> None:
    world = OutputWorld(FakeSink(name=name, lags=True, took_per_flush=0)).begin()
    world.write(3)
    world.sink.arrive(2)
    world.write(2)
    world.sink.has_room = False
    account = world.end()
    assert (account.both.written, account.both.lost) == (3, 2)
    assert str(world.output.failure).startswith(message)
    assert not world.output.complete


def test_a_slow_reader_gets_everything() -> None:
    world = OutputWorld(FakeSink(lags=True, took_per_flush=1)).begin()
    for _ in range(20):
        world.write(3)
    assert world.end().both.written == 60
    assert world.output.failure is None
    assert world.output.complete


def test_a_file_without_room_for_a_packet_ends_the_capture_instead() -> None:
    world = OutputWorld(max_bytes=4096).begin()
    world.write(3)
    assert world.next_file() == "size reached"
    assert world.limits.reached == "size reached"
    assert len(world.sink.content) == 1
    assert world.end().both.written == 3
    assert world.output.complete
    assert [(s.start_ns, s.end_ns) for s in parse(world.sink.content[0])[1]] == [(0, 2 * S)] * 2


def test_packets_get_the_part_of_the_limit_that_other_blocks_leave() -> None:
    world = OutputWorld(max_bytes=100_000).begin()
    left = int(world.limits.state[merge.BYTES_LEFT])
    world.limits.state[merge.BYTES_LEFT] -= left // len(BLOCK) * len(BLOCK)
    world.write(left // len(BLOCK))
    world.end(more="x" * 10_000)
    assert 100_000 - len(BLOCK) < len(world.sink.content[0]) <= 100_000


def test_a_capture_without_room_for_a_packet_writes_nothing() -> None:
    world = OutputWorld(max_bytes=4096, rules=())
    world.limits.state[merge.BYTES_LEFT] = 500
    with pytest.raises(SpecError, match=r"^max-bytes leaves no room: a file without packets has \d+ bytes$"):
        world.begin()
    assert world.sink.content == [b""]


ERRORS: list[tuple[str, Callable[[OutputWorld], object], object]] = [
    # after an error nothing waits for the output, and every call returns the reason to end
    ("room", lambda world: world.output.room(5), True),
    ("check", lambda world: world.output.check(), str(FULL)),
    ("write", lambda world: world.write(), str(FULL)),
]


@pytest.mark.parametrize(("what", "call", "result"), ERRORS, ids=[case[0] for case in ERRORS])
def test_the_first_call_after_an_error_finds_it(
    what: str, call: Callable[[OutputWorld], object], result: object
) -> None:
    world = OutputWorld().begin()
    world.sink.has_room = False
    world.sink.fail()
    assert call(world) == result
    assert world.output.failure is FULL
    assert world.output.room(5)
    assert world.output.check() == str(FULL)


def test_without_an_error_the_sink_decides_about_room_and_the_reason_to_end() -> None:
    world = OutputWorld().begin()
    assert world.output.room(0)
    world.sink.has_room = False
    assert not world.output.room(0)
    assert world.output.check() is None
    world.sink.reason = "1 GiB must stay free"
    assert world.output.check() == "1 GiB must stay free"
    assert world.write() == "1 GiB must stay free"
    assert world.output.failure is None


def test_packets_in_rings_are_over_the_limit_when_the_disk_must_not_fill_further() -> None:
    world = OutputWorld().begin()
    world.write(3)
    assert world.limits.reached is None
    world.sink.reason = "1 GiB must stay free"
    assert world.output.check() == "1 GiB must stay free"
    assert world.limits.state[merge.REACHED] != 0
    assert world.limits.final_in_file(99 * S) == 99 * S
    assert world.end().both.written == 3
    assert world.output.complete


def test_the_first_error_is_kept_if_the_end_cannot_be_written_either() -> None:
    world = OutputWorld().begin()
    world.sink.fail()
    world.write()

    def finish() -> None:
        world.sink.error = SinkError("still full")

    world.sink.finish = finish  # type: ignore[method-assign]
    world.end()
    assert world.output.failure is FULL
    assert not world.output.complete


def test_the_comment_has_the_counts_for_which_the_block_has_no_option() -> None:
    world = OutputWorld().begin()
    world.pass_by(7, by="sampled_by_flow")
    world.pass_by(2, by="sampled_by_rate")
    world.pass_by(3, reverse=True, by="sampled_by_first")
    world.write(4)
    world.rows[0]["forward"]["cut"], world.rows[0]["forward"]["cut_bytes"] = 4, 999
    world.pass_by(5, interface=1, reverse=True)
    world.ledger.moved[1, INBOUND | REVERSE, 2] += 5
    world.end(more="under pressure: headers only")
    comments = [s.comment for s in parse(world.sink.content[0])[1]]
    assert comments == [
        "forward: sampled out by flow 7, sampled out by rate 2, without payload 4 (999 bytes left out); "
        "reverse: sampled out by first 3; under pressure: headers only",
        "reverse: over the limit 5; under pressure: headers only",
    ]


def test_comments_cover_the_time_of_their_own_file() -> None:
    world = OutputWorld().begin()
    world.pass_by(7, by="sampled_by_flow")
    world.next_file("one")
    world.pass_by(2, by="sampled_by_flow")
    world.end("two")
    comments = [parse(content)[1][0].comment for content in world.sink.content]
    assert comments == ["forward: sampled out by flow 7; one", "forward: sampled out by flow 2; two"]


LARGE = (1 << 64) - 1


def test_statistics_never_take_more_than_is_reserved_for_them() -> None:
    counts = dict.fromkeys(
        ("sampled_by_flow", "sampled_by_packet", "sampled_by_first", "sampled_by_rate"), LARGE // 8
    )
    direction = DirectionAccount(**counts, cut=LARGE, over_limit=LARGE // 8)
    account = Account(seen=LARGE, forward=direction, reverse=direction)
    blocks = closing([Span(slot, account, LARGE, LARGE) for slot in range(3)], "x" * 5000)
    assert len(blocks) == closing_bytes(3)
    assert all(len(s.comment) == COMMENT_MAX for s in parse(blocks)[1])


def test_the_opening_blocks_contain_the_spec() -> None:
    plan = OutputWorld(max_bytes=123_456).plan
    text = opening(plan, plan.interfaces, plan.interfaces, {}, "synchronised", 5)
    assert b'"max_bytes": 123456' in text
    assert b'"wall_minus_monotonic_ns": 5' in text
    assert parse(text)[0] == [SECTION, INTERFACE, INTERFACE]


def test_a_new_interface_has_its_block_before_its_packets_and_in_every_later_file() -> None:
    world = OutputWorld().begin()
    world.write(1)
    world.now = 5 * S
    assert world.come("va", _10_0_0_1="shop/web-0") is None
    world.write(2, interface=2)
    world.next_file()
    world.write(3, interface=2)
    world.end()
    one, two = world.sink.content
    kinds, statistics = parse(one)
    assert kinds == [SECTION, INTERFACE, INTERFACE, PACKET, INTERFACE, NAMES, PACKET, PACKET, *[STATISTICS] * 3]
    assert (statistics[2].start_ns, statistics[2].received) == (5 * S, 2)
    kinds, statistics = parse(two)
    assert kinds == [SECTION, *[INTERFACE] * 3, NAMES, *[PACKET] * 3, *[STATISTICS] * 3]
    assert statistics[2].received == 3
    assert b"va#2" in one


def test_an_address_has_one_name_in_a_file_and_its_new_one_in_the_next() -> None:
    world = OutputWorld().begin()
    world.come("vc", _10_0_0_1="shop/web-0", _10_0_0_2="bank/api-0")
    world.come("vd", _10_0_0_1="shop/web-1", _10_0_0_3="shop/web-2")
    world.write(1)
    world.next_file()
    world.end()
    one, two = world.sink.content
    assert [one.count(name) for name in (b"shop/web-0", b"shop/web-1", b"shop/web-2", b"bank/api-0")] == [1, 0, 1, 1]
    assert [two.count(name) for name in (b"shop/web-0", b"shop/web-1", b"shop/web-2", b"bank/api-0")] == [0, 1, 1, 1]


def test_a_removed_interface_has_statistics_in_its_own_files_and_not_in_later_ones() -> None:
    world = OutputWorld().begin()
    world.write(2, interface=1)
    world.now = 3 * S
    world.roster.end(1, world.now)
    world.now = 4 * S
    world.next_file()
    world.now = 9 * S
    world.write(1)
    world.end()
    one, two = (parse(content)[1] for content in world.sink.content)
    assert [(s.interface, s.end_ns - s.start_ns) for s in one] == [(0, 5 * S), (1, 3 * S)]
    assert [s.interface for s in two] == [0]


def test_later_files_have_the_name_of_a_removed_interface_and_reserve_no_room_for_it() -> None:
    world = OutputWorld(storage=Storage(file_bytes=10**6)).begin()
    world.write(2, interface=1)
    world.now = S
    world.roster.end(1, world.now)
    world.pass_by(3, interface=1)  # still in the rings
    world.next_file()
    room = [world.limits.state[merge.FILE_LEFT]]
    world.ledger.moved[1, OUTBOUND, 0] += 3
    world.next_file()
    room += [world.limits.state[merge.FILE_LEFT]]
    world.end()
    _, two, three = world.sink.content
    assert [parse(content)[0].count(INTERFACE) for content in (two, three)] == [2, 2]
    described = b"ifindex 2; inbound is to this machine"
    assert [content.count(described) for content in (two, three)] == [1, 0]
    assert room[1] - room[0] >= closing_bytes(1)
    assert [s.interface for s in parse(three)[1]] == [0]


def test_a_new_interface_without_room_in_the_limit_ends_the_capture() -> None:
    world = OutputWorld(max_bytes=2 * MAX_BYTES_MIN).begin()
    reasons = [world.come(f"v{number}") for number in range(5)]
    assert reasons[0] is None
    assert reasons[-1] == "size reached"
    world.end()
    assert len(world.sink.content[0]) <= 2 * MAX_BYTES_MIN
    kinds, _ = parse(world.sink.content[0])
    assert kinds.count(INTERFACE) == kinds.count(STATISTICS) == 2 + reasons.index("size reached")


@pytest.mark.parametrize("arrived", range(4))
def test_an_interface_whose_block_did_not_arrive_has_no_statistics(arrived: int) -> None:
    world = OutputWorld(FakeSink(lags=True)).begin()
    world.sink.arrive(1)
    for number in range(3):
        world.come(f"v{number}")
    world.sink.arrive(arrived)
    world.sink.fail()
    assert world.output.check() == str(FULL)
    world.come("late")
    world.end()
    (content,) = world.sink.content
    kinds, _ = parse(content)
    assert kinds == [SECTION, *[INTERFACE] * (2 + arrived), *[STATISTICS] * (2 + arrived)]
