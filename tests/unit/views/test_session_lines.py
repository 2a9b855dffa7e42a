"""Conversations -> the lines of `bicap sessions`."""

import time
from collections.abc import Iterator
from ipaddress import ip_address

import numpy as np
import pytest

from capture.analysis.packets.completeness import Completeness
from capture.errors import SpecError
from capture.pcapng.describe import InterfaceDescription
from capture.views.moments import Clock
from capture.views.session_lines import LineContext, SessionLines, columns_named
from testbed import packets
from tests.unit.analysis.scripted_packets import HANDSHAKE, A, F, Frame, R, S, segment, track

COMPLETE = Completeness(known=True)
CONTEXT = LineContext({ip_address("fd00::2"): "dns"}, [InterfaceDescription(1, name="eth0")], COMPLETE, Clock())
LINES = SessionLines(CONTEXT)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


CASES: list[tuple[str, list[Frame], str]] = [
    (
        "a request and its answer, of which a part was lost before",
        [
            *HANDSHAKE,
            segment(20, "client", A, 1, 1, 100),
            segment(40, "server", A, 1, 101, 1448),
            segment(41, "server", A, 2897, 101, 1448),
            segment(300, "server", A, 1449, 101, 1448),
            segment(305, "client", A, 101, 4345),
            segment(306, "client", F, 101, 4345),
            segment(320, "server", F, 4345, 102),
            segment(321, "client", A, 102, 4346),
        ],
        "     1  00:00:01.000000    321 ms  tcp     10.0.0.1:40000 > 10.0.0.2:80                   "
        "          6/5        424 B/4.5 KiB         1 ms/14 ms       0/1      0/1  "
        "closed; complete (packets 1, 2, 3); fin",
    ),
    (
        "a closed port",
        [segment(0, "client", S), segment(0.0123, "server", R | A, 0, 1)],
        "     1  00:00:01.000000   12.3 µs  tcp     10.0.0.1:40000 > 10.0.0.2:80                   "
        "          1/1            54 B/54 B                -/-       0/0      0/0  "
        "reset; refused by RST after 12.3 µs (packets 1, 2); reset-by-server",
    ),
    (
        "a question",
        [(0, packets.udp("fd00::1", 4000, "fd00::2", 53, bytes(1470)))],
        "     1  00:00:01.000000      0 ns  udp     [fd00::1]:4000 > dns:53                        "
        "          1/0          1.5 KiB/0 B                -/-       0/0      0/0  one-way; open",
    ),
]


@pytest.mark.parametrize(("frames", "line"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_line(frames: list[Frame], line: str) -> None:
    (table,) = track(frames).tables
    assert LINES.lines(table) == line + "\n"


def test_each_session_has_its_line() -> None:
    tables = [table for _, frames, _ in CASES for table in track(frames).tables]
    said = LINES.lines(np.concatenate(tables))
    assert said == "".join(line + "\n" for _, _, line in CASES)


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (184, "# START DURATION PROTO CLIENT > SERVER PACKETS BYTES RTT REPEATED LOST STATE"),
        (183, "# START DURATION PROTO CLIENT > SERVER PACKETS BYTES RTT REPEATED STATE"),
        (120, "# START PROTO CLIENT > SERVER PACKETS STATE"),
        (80, "# CLIENT > SERVER STATE"),
        (10, "# C…"),
    ],
)
def test_the_most_important_columns_are_shown_that_fit(width: int, titles: str) -> None:
    lines = SessionLines(CONTEXT, width=width)
    assert " ".join(lines.heading().split()) == titles
    tables = [table for _, frames, _ in CASES for table in track(frames).tables]
    shown = (lines.heading() + lines.lines(np.concatenate(tables))).splitlines()
    assert all(len(line) <= width for line in shown)
    assert any(len(line) == width for line in shown)


def test_columns_can_be_named_from_both_tables() -> None:
    (table,) = track(CASES[0][1]).tables
    names = ["session", "interface", "server_rtt_mean_ns", "client_port", "client_handshake_ns", "handshake"]
    lines = SessionLines(CONTEXT, columns_named(names))
    assert " ".join(lines.heading().split()) == "# INTERFACE SERVER RTT MEAN CLIENT PORT CLIENT HANDSHAKE HANDSHAKE"
    assert lines.lines(table).split() == ["1", "eth0", "14", "ms", "40000", "3", "ms", "complete"]


def test_a_duration_that_was_not_measured_is_a_dash() -> None:
    (table,) = track(CASES[2][1]).tables
    lines = SessionLines(CONTEXT, columns_named(["server_rtt_mean_ns", "client_handshake_ns"]))
    assert lines.lines(table).split() == ["-", "-"]


def test_a_column_that_is_not_known_is_refused() -> None:
    with pytest.raises(SpecError, match=r"--columns: there is no column colour; docs/analysis.md lists them"):
        columns_named(["session", "colour"])
