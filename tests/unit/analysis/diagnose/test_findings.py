"""Packets of sessions in trouble -> findings: their words, counts, evidence and order."""

import re
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address

import pytest

from capture.analysis.diagnose import findings as module
from capture.analysis.diagnose import points
from capture.analysis.diagnose.findings import Diagnosis
from capture.analysis.diagnose.trouble import Finding
from capture.analysis.diagnose.troubles import TROUBLES
from capture.analysis.packets.completeness import Completeness
from testbed import packets
from tests.unit.analysis.scripted_packets import CLIENT, HANDSHAKE, SA, SERVER, A, Frame, R, S, segment, track

LOSSLESS = Completeness(known=True)
UNKNOWN = Completeness()


def diagnose(
    frames: Iterable[Frame], truth: Completeness = UNKNOWN, names: dict[IPv4Address, str] | None = None
) -> list[Finding]:
    diagnosis = Diagnosis(TROUBLES)
    for table in track(frames).tables:
        diagnosis.add("file", table)
    return diagnosis.findings(truth, names or {})


def handshake(ports: tuple[int, int], at: float = 0) -> list[Frame]:
    return [
        segment(at, "client", S, ports=ports),
        segment(at + 1, "server", SA, 0, 1, ports=ports),
        segment(at + 2, "client", A, 1, 1, ports=ports),
    ]


def refused(port: int, at: float) -> list[Frame]:
    return [segment(at, "client", S, ports=(port, 81)), segment(at + 1, "server", R | A, 0, 1, ports=(port, 81))]


def dns(at: float, identifier: int, answer: bool = False) -> Frame:
    question = b"\3web\4shop\0\0\1\0\1"
    message = struct.pack("!HHHHHH", identifier, 0x8180 if answer else 0x0100, 1, 0, 0, 0) + question
    ends = ((CLIENT[0], 40_000), (SERVER[0], 53))
    source, destination = ends[::-1] if answer else ends
    return at, packets.udp(*source, *destination, message)


REPEATED = [segment(20 + i, "client", A, 1 + 100 * i, 1, 100) for i in range(10)]
CASES: dict[str, tuple[list[Frame], list[tuple[str, str, list[tuple[int, int]]]]]] = {
    "nothing": (HANDSHAKE, []),
    "refused": (
        [*refused(1001, 0), *handshake((1002, 81), 10), *refused(1003, 20)],
        [("failed-handshake", "2 of 3 connections to 10.0.0.2:81 were refused by RST", [(1, 2), (3, 7)])],
    ),
    "unanswered": (
        [segment(0, "client", S), segment(1000, "client", S)],
        [("failed-handshake", "1 of 1 connection to 10.0.0.2:80 was not answered", [(1, 1)])],
    ),
    "two causes at one server are two findings": (
        [*refused(1001, 0), segment(10, "client", S, ports=(1002, 81)), segment(11, "client", S, ports=(1003, 81))],
        [
            ("failed-handshake", "2 of 3 connections to 10.0.0.2:81 were not answered", [(2, 3), (3, 4)]),
            ("failed-handshake", "1 of 3 connections to 10.0.0.2:81 was refused by RST", [(1, 2)]),
        ],
    ),
    "a black hole": (
        [
            *HANDSHAKE,
            segment(20, "client", A, 1, 1, 100),
            segment(21, "server", A, 1, 101),
            *(segment(at, "client", A, 101, 1, 1448) for at in (30, 250, 700)),
        ],
        [
            (
                "mtu-black-hole",
                "large segments from 10.0.0.1 to 10.0.0.2:80 do not arrive in 1 session: about 1,448 bytes each, "
                "sent again and never acknowledged, while small packets pass",
                [(1, 7)],
            )
        ],
    ),
    "two packets of eleven sent again are too few": (
        [*HANDSHAKE, *REPEATED, *(segment(300 + i, "client", A, 1 + 100 * i, 1, 100) for i in range(2))],
        [],
    ),
    "three are a finding, and were lost after the capture point": (
        [*HANDSHAKE, *REPEATED, *(segment(300 + i, "client", A, 1 + 100 * i, 1, 100) for i in range(3))],
        [
            (
                "retransmissions",
                "3 of 13 data packets (23.1%) from 10.0.0.1 to 10.0.0.2:80 were sent again; 3 were lost or late "
                "after this point",
                [(1, 14)],
            )
        ],
    ),
    "three of four hundred are too few": (
        [
            *HANDSHAKE,
            *(segment(20 + i, "client", A, 1 + 100 * i, 1, 100) for i in range(400)),
            *(segment(500 + i, "client", A, 1 + 100 * i, 1, 100) for i in range(3)),
        ],
        [],
    ),
    "large segments that arrive in the end are not a black hole": (
        [
            *HANDSHAKE,
            *(segment(at, "client", A, 1, 1, 1448) for at in (20, 250, 700)),
            segment(701, "server", A, 1, 1449),
        ],
        [],
    ),
    "large segments that are lost after one was acknowledged are not a black hole": (
        [
            *HANDSHAKE,
            segment(20, "client", A, 1, 1, 1448),
            segment(21, "server", A, 1, 1449),
            *(segment(at, "client", A, 1449, 1, 1448) for at in (30, 250, 700)),
        ],
        [],
    ),
    "nor are they while nothing shows that small ones arrive": (
        [*HANDSHAKE, *(segment(at, "client", A, 1, 1, 1448) for at in (30, 250, 700))],
        [],
    ),
    "nor are those that become small, and do not arrive either": (
        [
            *HANDSHAKE,
            segment(20, "client", A, 1, 1, 100),
            segment(21, "server", A, 1, 101),
            segment(30, "client", A, 101, 1, 1448),
            *(segment(at, "client", A, 101, 1, size) for at, size in ((250, 1448), (700, 512))),
        ],
        [],
    ),
    "nor are those that a receiver without room does not take": (
        [
            *HANDSHAKE,
            segment(20, "client", A, 1, 1, 100),
            segment(21, "server", A, 1, 101, window=0),
            *(segment(at, "client", A, 101, 1, 1448) for at in (30, 250, 700)),
        ],
        [("zero-window", "10.0.0.2:80 had no room for data from 10.0.0.1, 1 time in 1 session", [(1, 5)])],
    ),
    "no room": (
        [
            *HANDSHAKE,
            segment(20, "client", A, 1, 1, 100),
            *(segment(at, "server", A, 1, 101, window=0) for at in (21, 30)),
        ],
        [("zero-window", "10.0.0.2:80 had no room for data from 10.0.0.1, 2 times in 1 session", [(1, 5)])],
    ),
    "reset": (
        [
            *HANDSHAKE,
            segment(20, "client", A, 1, 1, 100),
            segment(21, "server", A, 1, 101, 50),
            segment(22, "server", packets.RST, 51),
        ],
        [
            (
                "reset",
                "1 of 1 session with 10.0.0.2:80 was ended by RST of the server, with 50 B sent and "
                "never acknowledged",
                [(1, 6)],
            )
        ],
    ),
    "slow": (
        [
            *HANDSHAKE,
            segment(20, "client", A, 1, 1, 100),
            segment(30, "server", A, 1, 101),
            segment(420, "server", A, 1, 101, 50),
        ],
        [
            (
                "slow",
                "10.0.0.2:80 takes 400 ms on average to begin an answer (1 request); the round trip takes 10 ms",
                [(1, 1)],
            )
        ],
    ),
    "far away": (
        [
            *HANDSHAKE,
            segment(20, "client", A, 1, 1, 100),
            segment(320, "server", A, 1, 101),
            segment(420, "server", A, 1, 101, 50),
        ],
        [
            (
                "slow",
                "10.0.0.2:80 takes 400 ms on average to begin an answer (1 request); the round trip takes 300 ms",
                [(1, 1)],
            )
        ],
    ),
    "DNS": (
        [dns(0, 1), dns(1, 1, answer=True), dns(2, 2), dns(3, 3)],
        [("unanswered", "2 of 3 DNS queries to 10.0.0.2:53 got no answer", [(1, 1)])],
    ),
    "UDP to a closed port": (
        [(0, query := packets.udp(*CLIENT, *SERVER, b"x")), (1, packets.icmp_error(SERVER[0], query, code=3))],
        [
            (
                "unreachable",
                "1 of 1 session with 10.0.0.2:80 got an ICMP error: packets of the client did not arrive",
                [(1, 2)],
            )
        ],
    ),
    "bytes that are not in the file": (
        [*HANDSHAKE, segment(20, "server", A, 1, 1001)],
        [
            (
                "not-captured",
                "1 of 1 session with 10.0.0.2:80 lacks packets that must have been sent; 1000 B were "
                "acknowledged and are not in the file",
                [(1, 1)],
            )
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_trouble_becomes_a_finding(case: str) -> None:
    frames, expected = CASES[case]
    found = [
        (one.kind, one.what, [(evidence.session, evidence.packet) for evidence in one.evidence])
        for one in diagnose(frames)
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("truth", "says"),
    [
        (
            Completeness(known=True, lost=7),
            "this is the capture, not the network: the capture lost 7 packets",
        ),
        (LOSSLESS, "the capture lost nothing, so these packets take another path: .*"),
        (UNKNOWN, "the file does not say whether the capture lost packets: that is the likely cause; .*"),
    ],
)
def test_missing_packets_are_attributed_to_the_capture_if_its_account_shows_loss(
    truth: Completeness, says: str
) -> None:
    (finding,) = diagnose([*HANDSHAKE, segment(20, "server", A, 1, 1001)], truth)
    assert re.fullmatch(says, finding.next)


def test_trouble_in_more_sessions_and_of_worse_kinds_ranks_first() -> None:
    frames = [*refused(1001, 10), *refused(1002, 10)]
    for ports in ((1, 80), (2, 80), (3, 80)):
        answer = segment(5, "server", A, 1, 1, 9, ports=ports)
        frames += [*handshake(ports), answer, segment(6, "server", packets.RST, 10, ports=ports)]
    assert [(one.kind, one.sessions) for one in diagnose(frames)] == [("failed-handshake", 2), ("reset", 3)]


def test_evidence_is_the_worst_sessions_and_not_all_of_them() -> None:
    frames: list[Frame] = []
    for port, times in enumerate((3, 4, 9, 5, 8, 7), start=1001):
        ports = (port, 80)
        frames += handshake(ports)
        frames += [segment(20 + 300 * i, "client", A, 1, 1, 100, ports=ports) for i in range(1 + times)]
    (finding,) = diagnose(frames)
    assert [one.session for one in finding.evidence] == [3, 5, 6, 4, 2]
    assert finding.sessions == 6


@pytest.mark.parametrize(
    ("case", "says"), [("slow", "the wait is in the server"), ("far away", "the wait is in the network")]
)
def test_a_slow_answer_is_attributed_to_the_server_or_the_network(case: str, says: str) -> None:
    (finding,) = diagnose(CASES[case][0])
    assert finding.next.startswith(says)


def test_sessions_without_the_trouble_are_not_evidence() -> None:
    clean = [
        *handshake((1001, 80)),
        *(segment(20 + i, "client", A, 1 + 100 * i, 1, 100, ports=(1001, 80)) for i in range(9)),
    ]
    (finding,) = diagnose([*clean, *CASES["three are a finding, and were lost after the capture point"][0]])
    assert finding.what.startswith("3 of 22 data packets (13.6%) from 10.0.0.1 to 10.0.0.2:80 were sent again")
    assert (finding.sessions, [one.session for one in finding.evidence]) == (1, [2])


def test_names_are_used_and_places_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUPS_MAX", 1)
    diagnosis = Diagnosis(TROUBLES)
    for table in track([*refused(1001, 0), segment(10, "client", S, ports=(1002, 90))]).tables:
        diagnosis.add("file", table)
    (finding,) = diagnosis.findings(UNKNOWN, {IPv4Address(SERVER[0]): "shop/web-0"})
    assert finding.what == "1 of 1 connection to shop/web-0:81 was refused by RST"
    assert diagnosis.elsewhere == 1


def several_points(frames: Iterable[Frame], later_ns: int, moved: str = "interface") -> Diagnosis:
    """Return the diagnosis of a file's sessions, added again as of another point, `later_ns` later."""
    diagnosis = Diagnosis(TROUBLES)
    tables = track(frames).tables
    for table in tables:
        diagnosis.add("file", table, several=True)
    for table in tables:
        again = table.copy()
        for name in ("first_ns", "last_ns"):
            again[name] += later_ns
        if moved == "interface":
            again["interface"] += 1
        diagnosis.add("other file" if moved == "file" else "file", again, several=True)
    return diagnosis


@pytest.mark.parametrize("moved", ["interface", "file"])
@pytest.mark.parametrize("case", CASES)
def test_a_conversation_that_two_points_saw_counts_once(case: str, moved: str) -> None:
    frames = CASES[case][0]
    diagnosis = several_points(frames, 100, moved)
    assert diagnosis.findings(UNKNOWN, {}) == diagnose(frames)


@pytest.mark.parametrize(("later_s", "moved"), [(3600, "interface"), (3600, "nothing")])
def test_the_same_endpoints_at_another_time_count_as_another_conversation(later_s: int, moved: str) -> None:
    diagnosis = several_points(CASES["refused"][0], later_s * 10**9, moved)
    (finding,) = diagnosis.findings(UNKNOWN, {})
    assert finding.what == "4 of 6 connections to 10.0.0.2:81 were refused by RST"
    assert diagnosis.sessions == 6


def test_trouble_that_only_the_second_point_shows_is_found() -> None:
    diagnosis = Diagnosis(TROUBLES)
    for number, frames in enumerate(([*HANDSHAKE], [segment(0, "client", S), segment(1000, "client", S)])):
        for table in track(frames).tables:
            table["interface"] = number
            diagnosis.add("file", table, several=True)
    (finding,) = diagnosis.findings(UNKNOWN, {})
    assert finding.what == "1 of 1 connection to 10.0.0.2:80 was not answered"


def test_conversations_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "REMEMBERED", 2)
    diagnosis = several_points([*refused(1001, 0), *refused(1002, 0), *refused(1003, 0)], 100)
    assert diagnosis.sessions == 6
