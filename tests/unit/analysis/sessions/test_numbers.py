"""Packets out of order, copied, of other connections, or not captured -> counts and verdicts that stay true."""

from typing import Any

import pytest

from capture.analysis.sessions.session_table import Close, Handshake, Measure
from tests.unit.analysis.scripted_packets import HANDSHAKE, SA, A, F, Frame, R, S, segment, track

RA = R | A
COUNTED = ("retransmitted", "lost_before", "reordered", "duplicated", "not_captured", "unacknowledged")


def data(ms: float, start: int, length: int = 100, **more: Any) -> Frame:
    """Return payload of the server."""
    return segment(ms, "server", A, 1 + start, 1, length, **more)


def ack(ms: float, end: int, **more: Any) -> Frame:
    return segment(ms, "client", A, 1, 1 + end, **more)


def counted(frames: list[Frame]) -> dict[str, int]:
    """Return the counts of the server that are not 0, after a handshake whose round trip is 13 ms."""
    server = track([*HANDSHAKE, *frames]).only.server
    return {name: getattr(server, name) for name in COUNTED if getattr(server, name)}


LATE = {
    "data behind its acknowledgment is neither missing nor repeated": (
        [data(20, 0), ack(25, 300), data(24, 100), data(24, 200)],
        {},
    ),
    "so is data whose time is in order with the acknowledgment's": (
        [data(20, 0), ack(25, 300), data(25.1, 100), data(25.2, 200), data(30, 300), ack(33, 400)],
        {},
    ),
    "so is a single byte, which is no keep-alive": ([data(20, 0), ack(25, 101), data(25.1, 100, 1)], {}),
    "so is a segment that goes on beyond the acknowledgment": ([ack(25, 100), data(25.1, 0, 200), ack(30, 200)], {}),
    "what does not come is missing": ([data(20, 0), ack(25, 400), data(25.1, 200)], {"not_captured": 200}),
    "a part of a hole that was acknowledged is missing": (
        [data(20, 0), data(21, 300), ack(25, 200), ack(26, 400)],
        {"not_captured": 200},
    ),
    "a part of a hole that was not acknowledged is not": (
        [data(20, 0), data(21, 300), ack(25, 200)],
        {"not_captured": 100, "unacknowledged": 200},
    ),
    "bytes that were acknowledged, and come later by the sender's clock, were repeated": (
        [
            data(20, 0, timestamps=(20, 1)),
            data(21, 200, timestamps=(21, 1)),
            ack(25, 300, timestamps=(5, 21)),
            data(300, 100, timestamps=(300, 5)),
        ],
        {"retransmitted": 1},
    ),
    "a segment over a hole and bytes that were seen was repeated": (
        [data(20, 0), data(21, 200), data(300, 100, 200), ack(310, 300)],
        {"retransmitted": 1, "lost_before": 1},
    ),
    "a segment over two holes fills both": (
        [data(20, 0), data(21, 200), data(22, 400), data(300, 100, 400), ack(310, 500)],
        {"retransmitted": 1, "lost_before": 1},
    ),
}


@pytest.mark.parametrize("case", LATE)
def test_late_data_fills_holes(case: str) -> None:
    frames, expected = LATE[case]
    assert counted(frames) == expected


def test_more_holes_than_there_is_room_for_make_no_retransmission_of_what_was_never_seen() -> None:
    odd = [data(20 + i / 100, 200 * i + 100) for i in range(40)]
    even = [data(21 + i / 100, 200 * i) for i in range(40)]
    found = counted([*odd, *even, ack(40, 8000)])
    assert found.get("retransmitted", 0) == 0
    assert found.get("reordered", 0) <= 40


def test_segments_before_the_first_of_a_file_are_not_known_to_be_repeated() -> None:
    found = track([data(20, 300), data(21, 100), data(22, 200), data(300, 300), ack(310, 400)]).only.server
    assert (found.retransmitted, found.not_captured, found.reordered) == (1, 0, 0)


OTHER = 1 << 31
"""Distance of an old connection's numbers."""
CHALLENGE = {
    "an old connection answers the SYN with its own numbers, and the client resets it": [
        segment(0, "client", S),
        segment(1, "server", A, OTHER, OTHER),
        segment(2, "client", R, OTHER),
    ],
    "so it does again and again": [
        frame
        for n in range(4)
        for frame in (
            segment(1000 * n, "client", S),
            segment(1000 * n + 1, "server", A, OTHER, OTHER),
            segment(1000 * n + 2, "client", R, OTHER),
        )
    ],
    "its numbers are just below those of the new one, as by a clock (RFC 6528)": [
        segment(0, "client", S),
        segment(1, "server", A, -1000, -700),
        segment(2, "client", R, -700),
    ],
}


@pytest.mark.parametrize("case", CHALLENGE)
def test_numbers_of_an_old_connection_tell_nothing_about_the_new_one(case: str) -> None:
    new = [
        segment(9000, "client", S),
        segment(9010, "server", SA, 0, 1),
        segment(9013, "client", A, 1, 1),
        segment(9020, "client", A, 1, 1, 100),
        segment(9030, "server", A, 1, 101, 1000),
        segment(9033, "client", F, 101, 1001),
        segment(9040, "server", F, 1001, 102),
        segment(9043, "client", A, 102, 1002),
    ]
    found = track([*CHALLENGE[case], *new]).only
    assert (found.handshake, found.close) == (Handshake.COMPLETE, Close.FIN)
    for side in (found.client, found.server):
        assert (side.retransmitted - (side is found.client) * (found.syns - 1), side.not_captured) == (0, 0)
    assert found.requests == 1


@pytest.mark.parametrize("case", CHALLENGE)
def test_a_syn_that_only_an_old_connection_answers_is_unanswered(case: str) -> None:
    found = track(CHALLENGE[case]).only
    assert (found.handshake, found.close) == (Handshake.UNANSWERED, Close.OPEN)


def test_after_a_gap_of_more_than_a_window_numbers_start_anew() -> None:
    far = [data(60_000 + n, (1 << 27) + 100 * n) for n in range(20)]
    far.append(ack(60_030, (1 << 27) + 2000))
    again = data(60_300, (1 << 27) + 1900)
    found = track([*HANDSHAKE, data(20, 0), ack(23, 100), *far, again]).only.server
    assert (found.retransmitted, found.not_captured) == (1, 0)


def test_packets_of_a_connection_that_was_replaced_do_not_count_in_the_new_one() -> None:
    """The old one's data come late, after the SYN of the new one on the same ports."""
    old = [*HANDSHAKE, data(20, 0), ack(23, 100)]
    new = [
        segment(100, "client", S, 5000),
        segment(110, "server", SA, 9000, 5001),
        data(111, 100),
        data(112, 200),
        segment(113, "client", A, 5001, 9001),
        segment(120, "server", A, 9001, 5001, 50),
        segment(123, "client", A, 5001, 9051),
    ]
    first, second = track([*old, *new]).sessions
    assert (first.close, second.handshake) == (Close.REUSED, Handshake.COMPLETE)
    assert (second.server.retransmitted, second.server.not_captured, second.server.lost_before) == (0, 0, 0)


RESETS: dict[str, tuple[list[Frame], Handshake, Close, int]] = {
    "refused, and tried again with success": (
        [
            segment(0, "client", S),
            segment(5, "server", RA, 0, 1),
            segment(3100, "client", S),
            segment(3110, "server", SA, 0, 1),
            segment(3113, "client", A, 1, 1),
            segment(3120, "client", A, 1, 1, 100),
            segment(3130, "server", A, 1, 101, 100),
        ],
        Handshake.COMPLETE,
        Close.OPEN,
        -1,
    ),
    "refused, and tried again in vain": (
        [segment(0, "client", S), segment(5, "server", RA, 0, 1), segment(1100, "client", S)],
        Handshake.REFUSED,
        Close.RESET_BY_SERVER,
        5,
    ),
    "tried twice, then refused: it is not known which was answered": (
        [segment(0, "client", S), segment(1000, "client", S), segment(1005, "server", RA, 0, 1)],
        Handshake.REFUSED,
        Close.RESET_BY_SERVER,
        -1,
    ),
    "refused by a reset that stands before the SYN in the file": (
        [segment(5, "server", RA, 0, 1), segment(0, "client", S)],
        Handshake.REFUSED,
        Close.RESET_BY_SERVER,
        -1,
    ),
    "reset at once after the handshake": (
        [*HANDSHAKE, segment(20, "server", RA, 1, 1)],
        Handshake.RESET_AT_ONCE,
        Close.RESET_BY_SERVER,
        7,
    ),
    "reset at once after a request": (
        [*HANDSHAKE, segment(15, "client", A, 1, 1, 100), segment(20, "server", RA, 1, 101)],
        Handshake.RESET_AT_ONCE,
        Close.RESET_BY_SERVER,
        7,
    ),
    "the client sent its request and its FIN before the reset": (
        [*HANDSHAKE, segment(15, "client", F, 1, 1, 100), segment(20, "server", RA, 1, 102)],
        Handshake.COMPLETE,
        Close.RESET_BY_SERVER,
        7,
    ),
    "its sender goes on after the reset": (
        [*HANDSHAKE, segment(20, "server", RA, 1, 1), segment(30, "server", A, 1, 1, 100), ack(33, 100)],
        Handshake.COMPLETE,
        Close.OPEN,
        -1,
    ),
}


@pytest.mark.parametrize("case", RESETS)
def test_a_reset_belongs_to_the_try_that_it_answers(case: str) -> None:
    frames, handshake, close, after_ms = RESETS[case]
    found = track(frames).only
    assert (found.handshake, found.close) == (handshake, close)
    assert found.reset_after_ns == (after_ms * 1_000_000 if after_ms >= 0 else -1)


def copied(frames: list[Frame], later_ms: float) -> list[Frame]:
    return sorted([*frames, *((ms + later_ms, frame) for ms, frame in frames)], key=lambda frame: frame[0])


@pytest.mark.parametrize("identified", [True, False])
@pytest.mark.parametrize("later_ms", [0, 0.01, 2])
def test_copies_of_packets_are_neither_repetitions_nor_anything_else(identified: bool, later_ms: float) -> None:
    exchange = [
        segment(0, "client", S),
        segment(10, "server", SA, 0, 1),
        segment(13, "client", A, 1, 1),
        segment(20, "client", A, 1, 1, 100),
        segment(30, "server", A, 1, 101, 100),
        segment(30.5, "server", A, 101, 101, 100),
        segment(31, "server", A, 201, 101, 100),
        segment(34, "client", F, 101, 301),
        segment(44, "server", F, 301, 102),
        segment(47, "client", A, 102, 302),
    ]
    numbered = [
        (ms, frame[:18] + (n * identified).to_bytes(2, "big") + frame[20:])
        for n, (ms, frame) in enumerate(exchange, start=100)
    ]
    one, both = track(numbered), track(copied(numbered, later_ms))
    for side, copies in (("client", 5), ("server", 5)):
        found, expected = getattr(both.only, side), getattr(one.only, side)
        assert (found.retransmitted, found.reordered, found.keepalives) == (0, 0, 0)
        assert (found.not_captured, found.unacknowledged) == (0, 0)
        assert (found.rtt_count, found.rtt_sum_ns) == (expected.rtt_count, expected.rtt_sum_ns)
        assert found.duplicated >= copies - (not identified) * 2  # empty acknowledgments have nothing to know them by
    for name in ("syns", "syn_acks", "handshake", "close", "server_ns", "client_ns", "requests"):
        assert getattr(both.only, name) == getattr(one.only, name), name


@pytest.mark.parametrize("later_ms", [448, 300_000])
def test_the_same_identification_after_more_than_a_round_trip_is_a_retransmission(later_ms: float) -> None:
    first = data(20, 0, identification=7)
    found = track([*HANDSHAKE, first, (20 + later_ms, first[1]), ack(1500 + later_ms, 100)])
    assert (found.only.server.retransmitted, found.only.server.duplicated) == (1, 0)
    assert found.durations_ms(Measure.ACKNOWLEDGMENT, "client") == []
    assert found.only.client.rtt_ambiguous == 1


def counting(first: int, numbers: list[int]) -> list[Frame]:
    """Return segments in this order; each has the place of its number, and an identification that counts with it."""
    return [data(20 + 40 * n, 100 * i, identification=(first + i) & 0xFFFF) for n, i in enumerate(numbers)]


def test_an_identification_tells_an_overtaken_segment_from_a_repeated_one_where_it_counts_up() -> None:
    order = [0, 1, 2, 3, 4, 6, 7, 5, 8]
    assert counted([*counting(65_533, order), ack(500, 900)]) == {"reordered": 1}
    again = data(330, 500, identification=65_533 + 10 & 0xFFFF)
    missing = [frame for frame in counting(65_533, order) if frame != counting(65_533, order)[7]]
    assert counted([*missing, again, ack(500, 900)]) == {"retransmitted": 1, "lost_before": 1}


def test_random_identifications_tell_nothing() -> None:
    frames = [
        data(20 + 40 * n, 100 * i, identification=40_503 * (i + 1) & 0xFFFF) for n, i in enumerate([0, 1, 2, 4, 5, 3])
    ]
    assert counted([*frames, ack(500, 600)]) == {"retransmitted": 1, "lost_before": 1}


ACK_LOST = {
    "repeated after the ACK arrived": ([1010], Handshake.ACK_LOST),
    "not repeated": ([], Handshake.COMPLETE),
    "on its way when the ACK passed": ([20], Handshake.COMPLETE),
}


@pytest.mark.parametrize("case", ACK_LOST)
def test_an_ack_is_lost_if_the_server_repeats_its_syn_ack_after_it_arrived(case: str) -> None:
    times, expected = ACK_LOST[case]
    assert track([*HANDSHAKE, *(segment(at, "server", SA, 0, 1) for at in times)]).only.handshake == expected


def test_a_syn_ack_that_may_answer_a_repeated_syn_does_not_show_a_lost_ack() -> None:
    twice = [segment(0, "client", S), segment(1000, "client", S)]
    answers = [segment(1005, "server", SA, 0, 1), segment(1007, "client", A, 1, 1), segment(2010, "server", SA, 0, 1)]
    assert track([*twice, *answers]).only.handshake == Handshake.COMPLETE
    alone = [segment(0, "client", S), segment(13, "client", A, 1, 1), segment(14, "server", SA, 0, 1)]
    assert track(alone).only.handshake == Handshake.COMPLETE


def test_a_handshake_without_its_syn_is_not_complete() -> None:
    assert track(HANDSHAKE[1:]).only.handshake == Handshake.NOT_CAPTURED


def test_a_fin_that_is_repeated_a_minute_later_belongs_to_its_session() -> None:
    ends = [segment(20, "client", F, 1, 1), segment(30, "server", F, 1, 2), segment(33, "client", A, 2, 2)]
    found = track([*HANDSHAKE, *ends, segment(100_000, "server", F, 1, 2)]).only
    assert (found.close, found.server.retransmitted) == (Close.FIN, 1)
