"""Messages of DNS, HTTP and TLS that report trouble -> findings in words, with the packet that shows it."""

import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from capture.analysis.diagnose.findings import Diagnosis
from capture.analysis.diagnose.trouble import Finding
from capture.analysis.diagnose.troubles import TROUBLES
from capture.analysis.latency.waits import Latency
from capture.analysis.packets.completeness import Completeness
from capture.analysis.packets.merged import open_captures
from capture.views.diagnosing import add_capture
from testbed import packets
from testbed.foreign_blocks import capture_file
from tests.unit.analysis.application.talks import CLIENT, SERVER, Turn, dns, tcp_frames, tls

KINDS = {"tls-alert", "http-5xx", "dns-error", "no-such-name"}


def diagnose(path: Path, frames: list[bytes]) -> list[Finding]:
    path.write_bytes(capture_file(frames, [0] * len(frames)))
    diagnosis = Diagnosis(TROUBLES)
    with open_captures([str(path)]) as capture:
        add_capture(diagnosis, Latency(), capture, capture, across_interfaces=False, damage=[])
    return [finding for finding in diagnosis.findings(Completeness(), {}) if finding.kind in KINDS]


def web(*statuses: int, client_port: int = 40_000) -> list[bytes]:
    """Return a connection in which requests get these statuses."""
    turns: list[Turn] = []
    for status in statuses:
        turns += [(True, b"GET / HTTP/1.1\r\n\r\n"), (False, b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)]
    return tcp_frames(turns, 80, client_port)


def resolver(*codes: int) -> list[bytes]:
    """Return questions from a port each, with these codes in the answers."""
    return [
        frame
        for number, code in enumerate(codes)
        for frame in (
            packets.udp(CLIENT, 40_000 + number, SERVER, 53, dns("web.shop")),
            packets.udp(SERVER, 53, CLIENT, 40_000 + number, dns("web.shop", code=code)),
        )
    ]


REFUSED = tcp_frames(tls("web.shop", ssl.TLSVersion.TLSv1_2, [], [], trusting=False), 443)
CASES: dict[str, tuple[list[bytes], list[tuple[str, str, list[int]]]]] = {
    "HTTP without errors": (web(200, 404, 301), []),
    "HTTP with one status": (
        [*web(200, 503, 503, 200), *web(200, client_port=40_001), *web(503, client_port=40_002)],
        [("http-5xx", "503 from 10.0.0.2:80 in 50% of answers (3 of 6)", [7, 21])],
    ),
    "HTTP with several statuses in a session": (
        web(404, 500, 503, 500, 599),
        [("http-5xx", "500 from 10.0.0.2:80 in 40% of answers (2 of 5); 2 answers with another 5xx", [7])],
    ),
    "HTTP with a status that nobody registered": (
        web(599, 200),
        [("http-5xx", "5xx from 10.0.0.2:80 in 50% of answers (1 of 2)", [5])],
    ),
    "HTTP with so few errors that a server copes": (web(*[200] * 100, 500), []),
    "a certificate that is refused": (
        REFUSED,
        [("tls-alert", "1 of 1 session with 10.0.0.2:443: certificate refused by the client (unknown ca)", [6])],
    ),
    "TLS that is complete": (tcp_frames(tls("web.shop", ssl.TLSVersion.TLSv1_2, [], []), 443), []),
    "names that do not exist": (
        resolver(3, 0, 3),
        [("no-such-name", "2 of 3 sessions with 10.0.0.2:53 got NXDOMAIN: the name does not exist", [2, 6])],
    ),
    "a few names that do not exist": (resolver(3, *[0] * 20), []),
    "a resolver that fails": (
        resolver(2, 0, 5),
        [
            ("dns-error", "1 of 3 sessions with 10.0.0.2:53 got SERVFAIL", [2]),
            ("dns-error", "1 of 3 sessions with 10.0.0.2:53 got REFUSED", [6]),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_applications_report(case: str, tmp_path: Path) -> None:
    frames, expected = CASES[case]
    found = diagnose(tmp_path / "file", frames)
    assert [(one.kind, one.what, _packets(one)) for one in found] == expected
    assert all(one.next for one in found)


def _packets(finding: Finding) -> Sequence[int]:
    return [evidence.packet for evidence in finding.evidence]
