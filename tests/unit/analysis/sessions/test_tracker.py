"""Segments -> sessions: client and server, retransmissions, losses, latencies, and how a session ended."""

import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.analysis.sessions import tracker as module
from capture.analysis.sessions.open_table import FLIGHT, LONG_FLIGHT
from capture.analysis.sessions.session_table import Close, Measure, Role, records
from testbed import generate, packets
from tests.unit.analysis.scripted_packets import (
    CLIENT,
    HANDSHAKE,
    MS,
    SA,
    SERVER,
    A,
    F,
    R,
    S,
    Tracked,
    decoded,
    segment,
    track,
)

SECOND = 1000.0
HOUR = 3600 * SECOND


def test_packets_bytes_and_times_of_each_direction() -> None:
    found = track([*HANDSHAKE, segment(20, "client", A, 1, 1, 100), segment(30, "server", A, 1, 101, 1000)]).only
    assert (found.client_port, found.server_port, found.role) == (CLIENT[1], SERVER[1], Role.ASKED)
    assert (found.client.packets, found.client.bytes, found.client.payload) == (3, 3 * 54 + 100, 100)
    assert (found.server.packets, found.server.bytes, found.server.payload) == (2, 2 * 54 + 1000, 1000)
    assert (found.first_ns, found.last_ns) == (1000 * MS, 1030 * MS)
    assert (found.first_packet, found.last_packet) == (1, 5)
    assert (found.syn_packet, found.syn_ack_packet, found.ack_packet) == (1, 2, 3)


ROLES = [
    # first packet, its sender is the client, how that is known
    (segment(0, "client", S), True, Role.ASKED),
    (segment(0, "server", SA), False, Role.ASKED),
    (segment(0, "client", A), True, Role.PORTS),
    (segment(0, "server", A), False, Role.PORTS),
    (segment(0, "server", A, ports=(1, 2)), True, Role.FIRST),
    ((0, packets.icmp("10.0.0.2", "10.0.0.1", 8)), True, Role.ASKED),
    ((0, packets.icmp("10.0.0.2", "10.0.0.1", 0)), False, Role.ASKED),
]


CLOSED = [
    *HANDSHAKE,
    segment(20, "client", F, 1, 1),
    segment(30, "server", F, 1, 2),
    segment(40, "client", A, 2, 2),
]
RESETS = {
    "answers a packet that came late": ([*CLOSED, segment(50, "server", R, 2)], Close.FIN, 0),
    "of a side whose FIN was not acknowledged": (
        [*CLOSED[:-1], segment(50, "server", R, 2)],
        Close.RESET_BY_SERVER,
        6,
    ),
    "of a side that did not get all": (
        [*CLOSED[:-2], segment(30, "server", F, 1, 2, 100), segment(50, "client", R, 2)],
        Close.RESET_BY_CLIENT,
        6,
    ),
}


@pytest.mark.parametrize("case", RESETS)
def test_an_rst_ends_a_session_that_is_not_closed(case: str) -> None:
    frames, how, packet = RESETS[case]
    found = track(frames).only
    assert (found.close, found.rst_packet) == (how, packet)


@pytest.mark.parametrize(("frame", "sender_is_client", "role"), ROLES)
def test_who_is_the_client(frame: tuple[float, bytes], sender_is_client: bool, role: Role) -> None:
    found = track([frame]).only
    assert (found.client.packets, found.server.packets) == ((1, 0) if sender_is_client else (0, 1))
    assert found.role == role


def data(ms: float, start: int, length: int = 100, **more: Any) -> tuple[float, bytes]:
    """Return payload of the server."""
    return segment(ms, "server", A, 1 + start, 1, length, **more)


def ack(ms: float, end: int) -> tuple[float, bytes]:
    return segment(ms, "client", A, 1, 1 + end)


SENT = [
    # what the server and its client send, and what is counted of the server
    ("in order", [data(20, 0), data(21, 100), ack(25, 200)], {}),
    ("repeated", [data(20, 0), data(300, 0), ack(305, 100)], {"retransmitted": 1, "retransmitted_bytes": 100}),
    (
        "repeated with more",
        [data(20, 0), data(300, 0, 250), ack(305, 250)],
        {"retransmitted": 1, "retransmitted_bytes": 100},
    ),
    (
        "a hole, filled late",
        [data(20, 0), data(21, 200), data(60, 100), ack(65, 300)],
        {"retransmitted": 1, "retransmitted_bytes": 100, "lost_before": 1},
    ),
    ("a hole, filled at once", [data(20, 0), data(21, 200), data(21.5, 100), ack(25, 300)], {"reordered": 1}),
    (
        "a hole, filled in two pieces",
        [data(20, 0), data(21, 200), data(60, 150, 50), data(61, 100, 50), ack(65, 300)],
        {"retransmitted": 2, "retransmitted_bytes": 100, "lost_before": 2},
    ),
    ("a hole, acknowledged", [data(20, 0), data(21, 200), ack(25, 300)], {"not_captured": 100}),
    ("more acknowledged than seen", [data(20, 0), ack(25, 400)], {"not_captured": 300}),
    (
        "the same IP packet again",
        [data(20, 0, identification=7), data(20.1, 0, identification=7), ack(25, 100)],
        {"duplicated": 1},
    ),
    (
        "the same bytes in another IP packet",
        [data(20, 0, identification=7), data(300, 0, identification=8), ack(305, 100)],
        {"retransmitted": 1, "retransmitted_bytes": 100},
    ),
    ("keep-alives", [data(20, 0), ack(25, 100), data(9000, 99, 0), data(9900, 99, 1)], {"keepalives": 2}),
    ("a window of zero", [segment(20, "server", A, 1, 1, window=0)], {"zero_windows": 1}),
    ("across the end of the numbers", [data(20, -1101, 1200), data(21, 99), ack(25, 199)], {}),
]
COUNTED = ("retransmitted", "retransmitted_bytes", "lost_before", "reordered", "duplicated", "keepalives")
COUNTED += ("zero_windows", "not_captured")


@pytest.mark.parametrize(("frames", "expected"), [case[1:] for case in SENT], ids=[case[0] for case in SENT])
def test_segments_sent_twice_lost_overtaken_or_not_captured_are_counted(
    frames: list[tuple[float, bytes]], expected: dict[str, int]
) -> None:
    found = track(frames).only
    assert {name: getattr(found.server, name) for name in COUNTED if getattr(found.server, name)} == expected


def test_a_tsval_separates_overtaken_segments_from_retransmitted_ones() -> None:
    def stamped(ms: float, start: int, tick: int) -> tuple[float, bytes]:
        return data(ms, start, timestamps=(tick, 1))

    first = [*HANDSHAKE, stamped(20, 0, 20), stamped(21, 200, 21)]
    late, again = track([*first, stamped(400, 100, 20)]).only, track([*first, stamped(21.5, 100, 22)]).only
    assert (late.server.reordered, late.server.retransmitted) == (1, 0)
    assert (again.server.reordered, again.server.retransmitted) == (0, 1)


TRIPS = [
    # frames after the handshake; samples of the client's side in ms: acknowledgment, partial; ambiguous ones
    ("one segment", [data(20, 0), ack(23, 100)], [3.0], [], 0),
    ("two, acknowledged at once: the last", [data(20, 0), data(21, 100), ack(25, 200)], [4.0], [], 0),
    ("sent twice: Karn's rule", [data(20, 0), data(300, 0), ack(303, 100)], [], [], 1),
    (
        "after a retransmission",
        [data(20, 0), data(300, 0), ack(303, 100), data(310, 100), ack(314, 200)],
        [4.0],
        [],
        1,
    ),
    ("behind a hole", [data(20, 0), data(21, 200), data(60, 100), ack(65, 300)], [], [], 1),
    ("a super-packet, in parts", [data(20, 0, 9000), ack(22, 3000), ack(23, 6000), ack(24, 9000)], [], [2.0], 0),
    ("a repeated acknowledgment", [data(20, 0), ack(23, 100), ack(29, 100)], [3.0], [], 0),
]


@pytest.mark.parametrize(
    ("frames", "full", "partial", "ambiguous"), [case[1:] for case in TRIPS], ids=[case[0] for case in TRIPS]
)
def test_round_trips_by_acknowledgment(
    frames: list[tuple[float, bytes]], full: list[float], partial: list[float], ambiguous: int
) -> None:
    found = track([*HANDSHAKE, *frames])
    assert found.durations_ms(Measure.ACKNOWLEDGMENT, "client") == full
    assert found.durations_ms(Measure.PARTIAL, "client") == partial
    side = found.only.client
    assert (side.rtt_count, side.rtt_sum_ns, side.rtt_ambiguous) == (len(full), sum(full) * MS, ambiguous)


def test_as_many_segments_are_followed_as_a_window_has_and_the_others_are_counted() -> None:
    many = [data(20 + i / 1000, 10 * i, 10) for i in range(LONG_FLIGHT + 4)]
    acks = [ack(100 + i, 10 * (i + 1)) for i in (*range(0, LONG_FLIGHT, 500), LONG_FLIGHT + 3)]
    found = track([*HANDSHAKE, *many, *acks]).only
    assert (found.client.rtt_count, found.client.rtt_unsampled) == (len(acks) - 1, 4)


def test_long_rings_are_given_back_and_used_again() -> None:
    """More sessions one after the other than there are rings, each with more in flight than its block has places."""
    frames: list[tuple[float, bytes]] = []
    for n in range(module._RINGS + 10):
        ends = {"ports": (40_000 + n, 80)}
        frames += [segment(100 * n + i, "server", A, 1 + 100 * i, 1, 100, **ends) for i in range(FLIGHT + 1)]
        frames += [segment(100 * n + 50, "client", A, 1, 1 + 100 * (FLIGHT + 1), **ends)]
    found = track(frames).sessions
    assert {(one.client.rtt_count, one.client.rtt_unsampled) for one in found} == {(1, 0)}


def test_round_trips_by_timestamps_take_the_first_echo_of_a_value_first_seen_on_data() -> None:
    def one(ms: float, sender: str, start: int, length: int, stamps: tuple[int, int]) -> tuple[float, bytes]:
        return segment(ms, sender, A, 1 + start, 1, length, timestamps=stamps)

    found = track(
        [
            *HANDSHAKE,
            one(20, "server", 0, 100, (7, 1)),
            one(21, "server", 100, 100, (7, 1)),  # the same value: not followed
            one(26, "client", 0, 0, (50, 7)),  # its echo
            one(27, "client", 0, 0, (50, 7)),  # again
            one(30, "server", 200, 0, (8, 50)),  # on no data: not followed
            one(31, "server", 200, 100, (8, 50)),
            one(35, "client", 0, 0, (51, 8)),
        ]
    )
    assert found.durations_ms(Measure.TIMESTAMP, "client") == [6.0]
    assert found.durations_ms(Measure.TIMESTAMP, "server") == []


def handshake(*frames: tuple[float, bytes]) -> tuple[list[float], list[float]]:
    found = track(frames)
    return found.durations_ms(Measure.HANDSHAKE, "server"), found.durations_ms(Measure.HANDSHAKE, "client")


def test_the_handshake_is_split_at_the_capture_point_and_ambiguous_halves_are_left_out() -> None:
    again = segment(1000, "client", S)
    granted, done = segment(1010, "server", SA, 0, 1), segment(1013, "client", A, 1, 1)
    assert handshake(*HANDSHAKE) == ([10.0], [3.0])
    assert handshake(segment(0, "client", S), again, granted, done) == ([], [3.0])
    assert handshake(*HANDSHAKE[:2], segment(1010, "server", SA, 0, 1), done) == ([10.0], [])


@pytest.mark.parametrize(("echo", "ms"), [(1, [1010.0]), (900, [10.0]), (500, [])])
def test_the_echoed_tsval_shows_which_of_repeated_syns_was_answered(echo: int, ms: list[float]) -> None:
    first, again = segment(0, "client", S, timestamps=(1, 0)), segment(1000, "client", S, timestamps=(900, 0))
    assert handshake(first, again, segment(1010, "server", SA, 0, 1, timestamps=(5, echo)))[0] == ms


def test_a_request_to_the_first_and_the_last_byte_of_its_answer() -> None:
    found = track(
        [
            *HANDSHAKE,
            segment(20, "client", A, 1, 1, 50),
            segment(22, "client", A, 51, 1, 50),
            segment(52, "server", A, 1, 101, 1000),
            segment(82, "server", A, 1001, 101, 1000),
            segment(100, "client", A, 101, 2001, 50),
            segment(107, "server", A, 2001, 151, 10),
        ]
    )
    assert found.durations_ms(Measure.FIRST_BYTE, "server") == [30.0, 7.0]
    assert found.durations_ms(Measure.LAST_BYTE, "server") == [60.0, 7.0]
    assert (found.only.requests, found.only.first_byte_sum_ns) == (2, 37 * MS)
    assert found.durations_ms(Measure.PIGGYBACK, "server") == [30.0, 7.0]


def dns(ms: float, identifier: int, name: bytes, answer: bool = False, kind: int = 1) -> tuple[float, bytes]:
    header = struct.pack("!HHHHHH", identifier, 0x8180 if answer else 0x0100, 1, int(answer), 0, 0)
    message = header + bytes([len(name)]) + name + b"\0" + struct.pack("!HH", kind, 1)
    ends = ("10.0.0.1", 40_000, "10.0.0.2", 53)
    return ms, packets.udp(*(ends[2:] + ends[:2] if answer else ends), message)


def test_dns_queries_are_matched_by_identifier_name_and_type() -> None:
    found = track(
        [
            dns(0, 1, b"web"),
            dns(1, 2, b"web", kind=28),
            dns(5, 2, b"web", answer=True, kind=28),
            dns(9, 1, b"web", answer=True),
            dns(10, 1, b"web", answer=True),  # a second answer
            dns(20, 3, b"gone"),
            dns(30, 4, b"slow"),
            dns(35, 4, b"slow"),
            dns(40, 4, b"slow", answer=True),  # of which query?
            dns(50, 5, b"web"),
            dns(55, 5, b"other", answer=True),  # not what was asked
        ]
    )
    assert found.durations_ms(Measure.DNS, "server") == [4.0, 9.0]
    assert (found.only.requests, found.only.repeated, found.only.unanswered) == (3, 1, 2)


def test_as_many_queries_wait_as_there_are_identifiers() -> None:
    asked = [dns(n / 1000, n, b"web") for n in range(5000)]
    answered = [dns(10 + n / 1000, n, b"web", answer=True) for n in reversed(range(1, 5000))]
    found = track([*asked, *answered])
    assert (found.only.requests, found.only.unanswered, found.only.repeated) == (4999, 1, 0)
    assert len(found.durations_ms(Measure.DNS, "server")) == 4999


def test_queries_beyond_the_room_are_counted_and_neither_answered_nor_unanswered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "QUESTIONS_MAX", 16)
    tracker = module.Tracker()
    frames = [dns(n, n, b"web") for n in range(20)] + [dns(30 + n, n, b"web", answer=True) for n in range(20)]
    tables = [table for table, _ in (*tracker.feed(*decoded(frames)), *tracker.finish())]
    (found,) = (one for table in tables for one in records(table))
    assert (found.requests, found.unanswered, tracker.forgotten) == (16, 0, 4)


def test_a_copy_of_a_query_was_not_asked_again() -> None:
    (ms, query), answer = dns(0, 1, b"web"), dns(9, 1, b"web", answer=True)
    found = track([(ms, query), (ms + 0.02, query), answer, (9.02, answer[1])])
    assert (found.only.repeated, found.only.requests, found.only.client.duplicated) == (0, 1, 1)
    assert found.durations_ms(Measure.DNS, "server") == [9.0]
    request = packets.icmp("10.0.0.1", "10.0.0.2", 8)
    assert track([(0, request), (0.02, request)]).only.repeated == 0


def test_echo_requests_are_matched_by_identifier_and_number() -> None:
    request, reply = packets.icmp("10.0.0.1", "10.0.0.2", 8), packets.icmp("10.0.0.2", "10.0.0.1", 0)
    found = track([(0, request), (3, reply), (1000, request)])
    assert found.durations_ms(Measure.ECHO, "server") == [3.0]
    assert (found.only.requests, found.only.unanswered) == (1, 1)


CLOSES = [
    ("nothing", [], Close.OPEN),
    ("both FINs", [segment(20, "client", F, 1, 1), segment(21, "server", F, 1, 2)], Close.FIN),
    ("one FIN", [segment(20, "client", F, 1, 1)], Close.HALF),
    ("RST of the client", [segment(20, "client", R, 1, 1)], Close.RESET_BY_CLIENT),
    ("RST of the server", [segment(20, "server", R, 1, 1)], Close.RESET_BY_SERVER),
]


@pytest.mark.parametrize(("frames", "close"), [case[1:] for case in CLOSES], ids=[case[0] for case in CLOSES])
def test_how_a_session_ended(frames: list[tuple[float, bytes]], close: Close) -> None:
    assert track([*HANDSHAKE, *frames]).only.close == close


def test_silence_ends_a_session_and_the_next_packet_begins_another() -> None:
    first, later = HANDSHAKE, segment(13 + 2 * HOUR + 1, "client", A, 1, 1)
    assert [one.close for one in track([*first, segment(13 + 2 * HOUR, "client", A, 1, 1)]).sessions] == [Close.OPEN]
    assert [one.close for one in track([*first, later]).sessions] == [Close.IDLE, Close.OPEN]


def test_a_new_syn_on_the_same_ports_begins_another_session_a_repeated_one_does_not() -> None:
    again, new = segment(500, "client", S), segment(500, "client", S, 77_777)
    assert [one.syns for one in track([*HANDSHAKE[:1], again]).sessions] == [2]
    assert [one.close for one in track([*HANDSHAKE, new]).sessions] == [Close.REUSED, Close.OPEN]


def test_an_icmp_error_is_evidence_in_the_session_it_is_about() -> None:
    _, syn = HANDSHAKE[0]
    found = track([(0, syn), (5, packets.icmp_error("10.9.9.9", syn[:42], 3, 1))])
    session, error = found.sessions
    assert (session.icmp_packet, session.icmp_type, session.icmp_code) == (2, 3, 1)
    assert session.icmp_low == 0x0A090909
    assert (error.protocol, error.client.packets) == (1, 1)


def test_later_fragments_belong_to_the_session_of_their_first() -> None:
    datagram = packets.udp("10.0.0.1", 1000, "10.0.0.2", 2000, bytes(64))
    found = track([(0, packets.fragment(datagram, 0, True)), (1, packets.fragment(datagram, 4, False))])
    assert (found.only.client.packets, found.only.client_port) == (2, 1000)


def test_a_tiny_first_fragment_has_the_ports_of_its_segment() -> None:
    """Eight bytes of a TCP header (RFC 1858), then the rest."""
    whole = packets.tcp(*CLIENT, *SERVER, payload=bytes(100))
    tiny, rest = packets.fragment(whole[:42], 0, True), packets.fragment(whole[:34] + whole[42:], 1, False)
    found = track([*HANDSHAKE, (20, tiny), (21, rest)]).only
    assert (found.client.packets, found.client_port, found.server_port) == (4, CLIENT[1], SERVER[1])


@pytest.mark.parametrize(
    "frame",
    [
        packets.tcp(*CLIENT, *SERVER)[:37],
        packets.fragment(packets.udp(*CLIENT, *SERVER, bytes(64)), 4, False),
    ],
    ids=["cut", "a fragment without its first"],
)
def test_a_packet_without_ports_makes_no_session(frame: bytes) -> None:
    assert track([*HANDSHAKE, (20, frame)]).only.client.packets == 2


def test_each_interface_has_sessions_of_its_own_unless_all_are_read_together() -> None:
    there_and_back = [HANDSHAKE[0], HANDSHAKE[1]]
    assert [one.interface for one in track(there_and_back, interfaces=[0, 1]).sessions] == [0, 1]
    assert track(there_and_back, interfaces=[0, 1], by_interface=False).only.server.packets == 1


def many(count: int) -> list[tuple[float, bytes]]:
    return [segment(i / 10, "client", S, ports=(1 + i % 60_000, 80 + i // 60_000)) for i in range(count)]


def test_more_sessions_than_rows_at_first_are_all_returned() -> None:
    assert [one.first_packet for one in track(many(10_000)).sessions] == list(range(1, 10_001))


def test_sessions_silent_longest_are_ended_as_crowded_out_where_too_many_are_open() -> None:
    found = track(many(5000), open_max=1000).sessions
    assert [one.first_packet for one in found] == list(range(1, 5001))
    crowded = [one.close == Close.CROWDED_OUT for one in found]
    assert crowded == sorted(crowded, reverse=True)
    assert 5000 - 1000 <= sum(crowded) < 5000 - 500


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(0, 1 << 32), st.integers(1, 200))
def test_every_ip_packet_is_in_one_session_for_any_batches(seed: int, batch: int) -> None:
    chance = random.Random(seed)
    frames = [(i * chance.random(), generate.packet(chance, i)) for i in range(200)]
    whole, parts = track(frames), track(frames, batch)
    assert whole == parts
    assert counted(whole) <= 200


def counted(found: Tracked) -> int:
    return sum(one.client.packets + one.server.packets for one in found.sessions)


@settings(max_examples=30)
@given(st.integers(0, 1 << 32))
def test_hostile_segments_of_one_conversation_are_counted_without_an_error(seed: int) -> None:
    chance = random.Random(seed)
    frames = [
        segment(
            chance.choice((i, i, chance.randrange(10**6))),
            chance.choice(("client", "server")),
            chance.choice((A, A, A, S, SA, F, R, 0, 255)),
            chance.choice((1, chance.randrange(3000), chance.randrange(1 << 32))),
            chance.choice((1, chance.randrange(3000), chance.randrange(1 << 32))),
            chance.choice((0, 1, 100)),
            timestamps=chance.choice((None, (chance.randrange(1 << 32), chance.randrange(1 << 32)))),
        )
        for i in range(300)
    ]
    found = track(frames)
    assert counted(found) == 300
    for one in found.sessions:
        assert one.client.lost_before <= one.client.retransmitted <= one.client.packets
        assert one.first_packet <= one.last_packet
        assert one.first_ns <= one.last_ns


@pytest.mark.slow
@settings(max_examples=20)
@given(st.integers(0, 1 << 32))
def test_absurd_times_end_sessions_but_lose_none(seed: int) -> None:
    chance = random.Random(seed)
    times = [chance.choice((i, -(10**12), 9 * 10**12, chance.randrange(10**12))) for i in range(300)]
    frames = [(ms, segment(0, "client", A, ports=(1 + i % 40, 80))[1]) for i, ms in enumerate(times)]
    assert counted(track(frames, batch=50, open_max=16)) == 300
