"""Packets of a session -> the marks of each packet, which add up to the counts of the session."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.analysis.packets.packet_table import Mark
from capture.analysis.sessions.session_table import records
from capture.analysis.sessions.tracker import Tracker
from testbed import packets
from tests.unit.analysis.scripted_packets import HANDSHAKE, A, Frame, decoded, segment
from tests.unit.analysis.simulated_connections import Path, connection, frame, passed

REPEATED, LOST, OVERTAKEN, COPY, KEEPALIVE, ZERO, GAP, UNSEEN = Mark
A1 = segment(20, "client", A, 1, 1, 100)
QUERY = bytes.fromhex("000701000001000000000000") + b"\3web\4shop\0\0\1\0\1"


def dns(ms: float, question: bool = True) -> Frame:
    ends = ("10.0.0.1", 4000, "10.0.0.2", 53) if question else ("10.0.0.2", 53, "10.0.0.1", 4000)
    return ms, packets.udp(*ends, QUERY if question else QUERY[:2] + b"\x81" + QUERY[3:])


CASES: dict[str, tuple[Sequence[Frame], list[int]]] = {
    # packets behind the handshake, and their marks
    "nothing unusual": ([A1, segment(40, "server", A, 1, 101, 1448)], [0, 0]),
    "sent again": ([A1, segment(300, "client", A, 1, 1, 100)], [0, REPEATED]),
    "lost before this point": (
        [segment(20, "server", A, 1449, 1, 1448), segment(300, "server", A, 1, 1, 1448)],
        [GAP, REPEATED | LOST],
    ),
    "overtaken": (
        [segment(20, "server", A, 1449, 1, 1448), segment(20.1, "server", A, 1, 1, 1448)],
        [GAP, OVERTAKEN],
    ),
    "the same IP packet": (
        [segment(20, "server", A, 1, 1, 9, identification=7), segment(20, "server", A, 1, 1, 9, identification=7)],
        [0, COPY],
    ),
    "keep-alive": ([A1, segment(60_000, "client", A, 100, 1)], [0, KEEPALIVE]),
    "zero window": ([A1, segment(21, "server", A, 1, 101, window=0)], [0, ZERO]),
    "not captured": ([segment(21, "server", A, 1, 101)], [UNSEEN]),
    "asked again": ([dns(20), dns(25), dns(30, question=False)], [0, REPEATED, 0]),
}


def marked(frames: Sequence[Frame]) -> tuple[list[int], list[Any]]:
    """Return the marks of packets, and the sessions."""
    data, rows = decoded(frames)
    tracker = Tracker()
    sessions = [one for table, _ in (*tracker.feed(data, rows), *tracker.finish()) for one in records(table)]
    return rows["marks"].tolist(), sessions


@pytest.mark.parametrize("case", CASES)
def test_a_packet_is_marked_as_what_it_is_counted(case: str) -> None:
    frames, expected = CASES[case]
    marks, sessions = marked([*HANDSHAKE, *frames])
    assert marks == [0, 0, 0, *expected]

    for mark, count in counted(sessions).items():
        assert count == sum(bool(each & mark) for each in marks), mark
    assert number(sessions, "lost_before") == sum(bool(each & LOST) for each in marks)


@settings(deadline=None)
@given(st.integers(0, 1 << 32))
def test_marks_add_up_to_the_counts_of_any_connection(seed: int) -> None:
    """Of a path that loses and turns around, and a capture that copies and misses packets."""
    chance = random.Random(seed)
    way = Path(chance.choice((0, 0.02, 0.2)), chance.choice((0, 0.1)), 5, (chance.choice((0.02, 20)), 1))
    made, firsts = connection(chance, way)
    kept = [one for one in passed(made) if chance.random() >= chance.choice((0, 0.1))]
    both = sorted([*kept, *((ms + 0.01, one) for ms, one in kept if chance.random() < 0.1)], key=lambda one: one[0])
    if not both:
        return
    marks, sessions = marked([(ms, frame(packet, firsts)) for ms, packet in both])
    for mark, count in counted(sessions).items():
        assert count == sum(bool(each & mark) for each in marks), mark


def number(sessions: Sequence[Any], name: str) -> int:
    """Return a count, of both sides of all sessions together."""
    return sum(int(getattr(side, name)) for one in sessions for side in (one.client, one.server))


def counted(sessions: Sequence[Any]) -> dict[Mark, int]:
    """Return the counts that only grow, by the mark of a packet that raised them."""
    return {
        REPEATED: number(sessions, "retransmitted") + sum(one.repeated for one in sessions),
        OVERTAKEN: number(sessions, "reordered"),
        COPY: number(sessions, "duplicated"),
        KEEPALIVE: number(sessions, "keepalives"),
        ZERO: number(sessions, "zero_windows"),
    }


def test_marks_of_an_earlier_batch_are_not_kept() -> None:
    data, rows = decoded(
        [*HANDSHAKE, A1, segment(30, "server", A, 1, 101, 100), segment(300, "client", A, 1, 1, 100)]
    )
    for _ in range(2):
        tracker = Tracker()
        rows["marks"] = 255
        list(tracker.feed(data, rows))
        assert rows["marks"].tolist() == [0, 0, 0, 0, 0, REPEATED]
