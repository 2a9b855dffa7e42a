"""Conversations -> the lines of `bicap sessions`."""

import time
from collections.abc import Iterator
from ipaddress import ip_address

import numpy as np
import pytest

from capture.analysis.packets.completeness import Completeness
from capture.views.session_lines import session_lines
from testbed import packets
from tests.unit.analysis.scripted_packets import HANDSHAKE, A, F, Frame, R, S, segment, track

COMPLETE = Completeness(known=True)


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
    assert session_lines(table, {ip_address("fd00::2"): "dns"}, COMPLETE) == line + "\n"


def test_each_session_has_its_line() -> None:
    tables = [table for _, frames, _ in CASES for table in track(frames).tables]
    said = session_lines(np.concatenate(tables), {ip_address("fd00::2"): "dns"}, COMPLETE)
    assert said == "".join(line + "\n" for _, _, line in CASES)
