"""Events of the kernel and packets of a capture -> one file in order of time; limits of packets leave events out."""

from typing import Any

import numpy as np

from capture.abi import REASON_DROP, REASON_RECORD
from capture.run.reason_events import ReasonEvents
from capture.storage import Storage
from tests.unit.run.memory_capture import Machine, SentPacket, blocks_of

FRAME = bytes(12) + b"\x08\x00" + bytes(20)


class RecordsOfDrops:
    """The kernel's side: records that wait to be read."""

    missed = 0

    def __init__(self, *times_ns: int) -> None:
        self.record(*times_ns)

    def record(self, *times_ns: int) -> None:
        """Let these be what the next call reads."""
        self._waiting = np.zeros(len(times_ns), REASON_RECORD)
        self._waiting["time_ns"], self._waiting["kind"] = times_ns, REASON_DROP
        self._waiting["captured"] = self._waiting["original"] = len(FRAME)
        self._waiting["bytes"][:, : len(FRAME)] = np.frombuffer(FRAME, np.uint8)

    def take(self) -> Any:
        waiting, self._waiting = self._waiting, self._waiting[:0]
        return waiting

    def reason(self, _kind: int, _number: int) -> str:
        return "NETFILTER_DROP"

    def place(self, _location: int) -> str:
        return "nft_do_chain"

    def detach(self) -> None:
        """Nothing is attached."""


def events(*times_ns: int) -> ReasonEvents:
    records: Any = RecordsOfDrops(*times_ns)
    return ReasonEvents(records)


def block(time_ns: int) -> bytes:
    (event,) = events(time_ns).take()
    return event.block(1, 0)


def test_an_event_is_between_the_packets_before_and_after_it() -> None:
    machine = Machine(reasons=True, events=events(2, 5))
    packets = [SentPacket(at, b"data") for at in (1, 3, 9)]
    machine.packets(0, *packets)
    machine.settle()
    first, second, third = (blocks_of([packet]) for packet in packets)
    assert machine.blocks == first + block(2) + second + block(5) + third
    assert machine.end().forward.written == 3
    assert machine.output.events == 2


def test_an_event_waits_until_packets_before_it_are_final() -> None:
    machine = Machine(reasons=True, events=events(5))
    machine.round()
    machine.packets(0, SentPacket(1, b"late to the ring"))
    machine.settle()
    assert machine.blocks == blocks_of([SentPacket(1, b"late to the ring")]) + block(5)
    machine.end()


def test_events_that_are_read_one_call_later_are_at_their_places() -> None:
    records: Any = RecordsOfDrops(5, 9, 11)
    found = ReasonEvents(records)
    found.take()
    records.record(7, 10, 12)
    assert [event.time_ns for event in found.take()] == [7, 10, 12]
    assert [event.time_ns for event in found.due(12, 10)] == [5, 7, 9, 10, 11]
    assert [event.time_ns for event in found.between(7, 11)] == [7, 9, 10]


def test_more_events_than_a_round_writes_are_written_by_the_next_ones() -> None:
    machine = Machine(reasons=True, events=events(*range(1, 1001)))
    machine.settle()
    assert machine.blocks == b"".join(map(block, range(1, 1001)))
    machine.end()


def test_events_do_not_count_as_packets_of_a_limit_and_end_with_it() -> None:
    machine = Machine(reasons=True, events=events(2, 50), count=2)
    machine.packets(0, *(SentPacket(at, b"data") for at in (1, 3, 9)))
    machine.settle()
    assert machine.blocks == blocks_of([SentPacket(1, b"data")]) + block(2) + blocks_of([SentPacket(3, b"data")])
    account = machine.end()
    assert (account.forward.written, account.forward.over_limit) == (2, 1)


def test_an_event_that_does_not_fit_a_file_begins_the_next_one() -> None:
    overhead = len(Machine(reasons=True).sink.content[0])
    size = overhead + 2000
    machine = Machine(reasons=True, events=events(*range(1, 31)), storage=Storage(file_bytes=size))
    machine.settle()
    machine.end()
    assert len(machine.sink.content) > 1
    assert all(len(content) <= size for content in machine.sink.content)
    assert sum(content.count(b"NETFILTER_DROP") for content in machine.sink.content) == 30
