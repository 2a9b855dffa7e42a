"""Queries over tables of sessions -> sessions that meet all conditions, in order, at most the given number."""

from collections.abc import Iterator

import numpy as np
import pytest

from capture.analysis.packets.reading import Batch
from capture.analysis.sessions.notes import notes_of
from capture.analysis.sessions.tracker import Tracker
from capture.arrays.aliases import Table
from capture.errors import SpecError
from capture.views.packet_query import PacketQuery
from capture.views.queries import SessionQuery, first_rows
from tests.unit.analysis.scripted_packets import HANDSHAKE, decoded
from tests.unit.analysis.session_row import session

SESSIONS = [(1, 5, 17), (2, 9, 6), (3, 2, 6), (4, 7, 6)]
"""Numbers, packets of the client, protocols."""


def ended() -> Iterator[tuple[Table, Table]]:
    for number, packets, protocol in SESSIONS:
        yield session(session=number, first_ns=number, client_packets=packets, protocol=protocol), np.empty(0)


QUERIES = [
    # conditions, order, count, sessions
    ((), "none", None, [1, 2, 3, 4]),
    ((), "-packets", None, [2, 4, 1, 3]),
    (("protocol=tcp",), "packets", None, [3, 4, 2]),
    (("protocol=tcp", "packets>2"), "start", 1, [2]),
    ((), "none", 2, [1, 2]),
    (("packets>100",), "start", None, []),
]


@pytest.mark.parametrize(("conditions", "order", "count", "numbers"), QUERIES)
def test_a_query_returns_the_sessions_it_selects(
    conditions: tuple[str, ...], order: str, count: int, numbers: list[int]
) -> None:
    tables = SessionQuery.parse(conditions, order, count).of(ended())
    assert [number for table in tables for number in table["session"].tolist()] == numbers


@pytest.mark.parametrize(("conditions", "order"), [(("colour=red",), "none"), ((), "colour")])
def test_a_wrong_query_is_refused_before_anything_is_read(conditions: tuple[str, ...], order: str) -> None:
    with pytest.raises(SpecError):
        SessionQuery.parse(conditions, order, None)


def test_no_table_after_the_last_row_is_read() -> None:
    source = ended()
    tables = first_rows((table for table, _ in source), 2)
    assert [len(table) for table in tables] == [1, 1]
    assert len(list(source)) == len(SESSIONS) - 2


def test_packets_of_a_session_that_is_not_in_the_file_are_an_error() -> None:
    batches = [Batch(*decoded(HANDSHAKE))]
    (chosen,) = PacketQuery((1,)).of(None, batches, False)
    assert chosen.packets["number"].tolist() == [1, 2, 3]
    with pytest.raises(SpecError, match="there is no session 7, 999; the file has 1 session: see `bicap sessions`"):
        list(PacketQuery((1, 999, 7)).of(None, batches, False))


def test_a_reader_is_told_what_the_order_of_a_file_hides() -> None:
    tracker = Tracker()
    (first, *others) = HANDSHAKE
    data, packets = decoded([*others, first, (5.0, HANDSHAKE[1][1][:37])])
    for _ in (*tracker.feed(data, packets), *tracker.finish()):
        pass
    assert notes_of("file", tracker) == [
        "file: 2 packets stand behind younger ones, so the file is not in order of time",
        "file: 1 packet is in no session: ports were cut off, or are in a fragment that is not there",
    ]
