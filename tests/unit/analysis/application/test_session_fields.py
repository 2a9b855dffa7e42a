"""Messages of sessions -> the columns of their rows, and filters by them."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from capture.analysis.application.session_fields import Applications
from capture.analysis.packets.merged import open_captures
from capture.analysis.query.columns import APPLICATION, COLUMNS
from capture.arrays import texts as texts_module
from capture.arrays.texts import LEFT_OUT, Texts
from capture.errors import FormatError
from capture.views.queries import SessionQuery, ended_sessions
from testbed.foreign_blocks import capture_file
from tests.unit.analysis.application.talks import crypto, dns, hello_of, quic_initial, tcp_frames, tls
from tests.unit.analysis.application.test_messages import udp

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def sessions(path: Path, frames: list[bytes], *conditions: str) -> list[dict[str, Any]]:
    """Return the application columns of sessions that are not empty."""
    path.write_bytes(capture_file(frames, [0] * len(frames)))
    damage: list[FormatError] = []
    found = []
    with open_captures([str(path)]) as capture:
        ended = ended_sessions(capture, capture, False, damage, applications=Applications())
        for table in SessionQuery.parse(conditions, "start", None).of(ended):
            columns = {name: list(COLUMNS[name](table)) for name in APPLICATION}
            found += [
                {name: values[row] for name, values in columns.items() if values[row]} for row in range(len(table))
            ]
    assert not damage
    return found


REQUEST = b"GET /cart HTTP/1.1\r\nHost: web.shop\r\n\r\n"
CASES: dict[str, tuple[list[bytes], dict[str, Any]]] = {
    "TLS 1.3": (
        tcp_frames(tls("web.shop", TLS13, ["h2", "http/1.1"], ["h2"]), 443),
        {"application": "tls", "server_name": "web.shop", "alpn": "h2,http/1.1", "tls_version": "1.3"},
    ),
    "TLS 1.2, with the protocol that the server chose": (
        tcp_frames(tls("web.shop", TLS12, ["h2", "http/1.1"], ["http/1.1"]), 443),
        {"application": "tls", "server_name": "web.shop", "alpn": "http/1.1", "tls_version": "1.2"},
    ),
    "a certificate that is refused": (
        tcp_frames(tls("web.shop", TLS12, [], [], trusting=False), 443),
        {
            "application": "tls",
            "server_name": "web.shop",
            "tls_version": "1.2",
            "tls_alert": "unknown_ca",
            "tls_alert_by": "client",
            "error_packet": 6,
        },
    ),
    "HTTP with an error": (
        tcp_frames(
            [
                (True, REQUEST),
                (False, b"HTTP/1.1 100 Continue\r\n\r\n"),
                (False, b"HTTP/1.1 200 OK\r\n\r\n"),
                (True, b"PUT /x HTTP/1.1\r\nHost: other\r\n\r\n"),
                (False, b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
                (True, REQUEST),
                (False, b"HTTP/1.1 404 Not Found\r\n\r\n"),
            ],
            80,
        ),
        {
            "application": "http",
            "http_method": "GET",
            "http_host": "web.shop",
            "http_path": "/cart",
            "http_status": 503,
            "http_requests": 3,
            "http_answers": 3,
            "http_4xx": 1,
            "http_5xx": 1,
            "error_packet": 8,
        },
    ),
    "DNS": (
        [
            udp(dns("web.shop")),
            udp(dns("web.shop", code=0), False),
            udp(dns("no.shop")),
            udp(dns("no.shop", code=3), False),
        ],
        {
            "application": "dns",
            "dns_name": "web.shop",
            "dns_type": "A",
            "dns_code": "NXDOMAIN",
            "dns_errors": 1,
            "error_packet": 4,
        },
    ),
    "QUIC": (
        [udp(quic_initial(crypto(0, hello_of(tls("q.shop", TLS13, ["h3"], [])))), port=443)],
        {"application": "quic", "server_name": "q.shop", "alpn": "h3"},
    ),
    "a head of which the end is missing": (
        tcp_frames([(True, b"GET /cart HTTP/1.1\r\nAccept: x\r\n")], 80),
        {"application": "http", "http_method": "GET", "http_path": "/cart", "http_requests": 1},
    ),
    "nothing that is known": (tcp_frames([(True, bytes(100))], 443), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_session_has_the_fields_of_its_messages(case: str, tmp_path: Path) -> None:
    frames, expected = CASES[case]
    assert sessions(tmp_path / "file", frames) == [expected]


FILTERS = [
    ("server_name=WEB.shop", 3),
    ("server_name=*.shop", 4),
    ("server_name=w*b.sh*p", 3),
    ("server_name!=*", 0),
    ("application=tls", 3),
    ("application!=tls", 5),
    ("http_5xx>0", 1),
    ("http_status=503", 1),
    ("http_method=get", 2),
    ("dns_code=nxdomain", 1),
    ("tls_version=1.2", 2),
    ("tls_alert=unknown_ca", 1),
]


@pytest.mark.parametrize(("condition", "count"), FILTERS)
def test_sessions_can_be_chosen_by_their_fields(condition: str, count: int, tmp_path: Path) -> None:
    frames = []
    for number, (part, _) in enumerate(CASES.values()):
        port = (40_000 + number).to_bytes(2, "big")
        frames += [frame.replace((40_000).to_bytes(2, "big"), port, 1) for frame in part]
    found = sessions(tmp_path / "file", frames, condition)
    assert len(found) == count


def test_texts_have_numbers_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts_module, "TEXTS_MAX", 3)
    texts = Texts()
    numbers = [texts.number(text) for text in ("a", "b", "a", "", "c", "d", "b")]
    assert texts.words(numbers) == ["a", "b", "a", "", LEFT_OUT, LEFT_OUT, "b"]
