"""Payload of real protocols -> what tshark finds in it, packet by packet."""

import random
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from capture.analysis.application import messages
from capture.analysis.application.compiled.aes import ROUND_KEYS, encrypt, expand
from capture.analysis.packets.reading import CaptureFile
from capture.analysis.sessions.tracker import Tracker
from capture.views.packet_lines import PacketLines
from testbed import packets
from testbed.foreign_blocks import capture_file
from tests.unit.analysis.application.talks import (
    CLIENT,
    SERVER,
    crypto,
    dns,
    hello_of,
    quic_initial,
    tcp_frames,
    tls,
)

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FIELDS = (
    *("dns.qry.name", "dns.qry.type", "dns.flags.rcode", "tls.handshake.extensions_server_name"),
    *("tls.handshake.extensions_alpn_str", "tls.handshake.type", "tls.alert_message.desc", "http.request.method"),
    *("http.host", "http.request.uri", "http.response.code"),
)


def ours(path: Path, frames: list[bytes]) -> list[Any]:
    """Return the message of each packet, None for none."""
    path.write_bytes(capture_file(frames, [0] * len(frames)))
    found: list[Any] = []
    tracker = Tracker()
    with CaptureFile(str(path)) as file:
        lines = PacketLines(file.description, names=False)
        for batch in file:
            list(tracker.feed(batch.data, batch.packets))
            lines.watch(batch)
            found += lines.columns(batch.packets)["message"]
            assert lines.lines(batch.packets).count("\n") == len(batch.packets)
    return found


def theirs(path: Path) -> list[dict[str, str]]:
    """Return what tshark finds in each packet."""
    words = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"]
    words += ["-o", "tcp.check_checksum:FALSE"] + [word for name in FIELDS for word in ("-e", name)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


def udp(payload: bytes, by_client: bool = True, port: int = 53, client_port: int = 40_000) -> bytes:
    ends = (CLIENT, client_port, SERVER, port) if by_client else (SERVER, port, CLIENT, client_port)
    return packets.udp(*ends, payload)


TLS = {
    "TLS 1.3": ("web.shop", TLS13, ["h2", "http/1.1"], ["h2"], True),
    "TLS 1.2": ("api.web.shop", TLS12, ["http/1.1"], ["http/1.1"], True),
    "TLS without a name": (None, TLS13, [], [], True),
    "a certificate that is refused": ("web.shop", TLS12, [], [], False),
}


@pytest.mark.slow
@pytest.mark.parametrize("segment", [1400, 97, 64_000])
@pytest.mark.parametrize("case", TLS)
def test_hellos_and_alerts_are_tsharks(case: str, segment: int, tmp_path: Path) -> None:
    found = ours(tmp_path / "file", tcp_frames(tls(*TLS[case]), 443, segment=segment))
    seen = theirs(tmp_path / "file")
    hellos = 0
    for mine, their in zip(found, seen, strict=True):
        kinds = their["tls.handshake.type"].split(",")
        if mine is None:
            assert not {"1", "2"} & set(kinds)
        elif mine["kind"] == "client-hello":
            assert "1" in kinds
            assert mine["server_name"] == their["tls.handshake.extensions_server_name"]
            assert mine["alpn"] == their["tls.handshake.extensions_alpn_str"]
            hellos += 1
        elif mine["kind"] == "server-hello":
            assert "2" in kinds
            assert mine["version"] == ("1.2" if TLS[case][1] is TLS12 else "1.3")
            assert mine["alpn"] == their["tls.handshake.extensions_alpn_str"]
            hellos += 1
        else:
            assert (mine["kind"], mine["alert"]) == ("alert", "unknown_ca")
            assert their["tls.alert_message.desc"] == "48"
    assert hellos == 2
    assert (not TLS[case][4]) == any(one is not None and one["kind"] == "alert" for one in found)


def test_http_is_tsharks(tmp_path: Path) -> None:
    turns = [
        (True, b"GET /cart?secret=1 HTTP/1.1\r\nAccept: */*\r\nHOST:  Web.Shop:8080\r\n\r\n"),
        (False, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        (True, b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab"),
        (False, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nGET"),
        (True, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
    ]
    found = [one for one in ours(tmp_path / "file", tcp_frames(turns, 80)) if one is not None]
    seen = [
        their for their in theirs(tmp_path / "file") if their["http.request.method"] or their["http.response.code"]
    ]
    assert len(found) == len(seen) == 5
    for mine, their in zip(found, seen, strict=True):
        if mine["kind"] == "http-request":
            assert mine["method"] == their["http.request.method"]
            assert mine["host"] == their["http.host"].lower()
            assert mine["path"] == their["http.request.uri"].partition("?")[0]
        else:
            assert mine["status"] == int(their["http.response.code"])


@pytest.mark.parametrize("segment", [20, 33, 50])
def test_a_head_in_several_segments_is_found_where_its_host_is(segment: int, tmp_path: Path) -> None:
    head = b"GET /a HTTP/1.1\r\nUser-Agent: something long\r\nHost: web.shop\r\nAccept: */*\r\n\r\n"
    found = ours(tmp_path / "file", tcp_frames([(True, head)], 80, segment=segment))
    (at,) = [number for number, one in enumerate(found) if one is not None]
    assert found[at] == {"kind": "http-request", "method": "GET", "host": "web.shop", "path": "/a"}
    assert at == 3 + head.index(b"web.shop\r") // segment + (head.index(b"web.shop\r") % segment > segment - 9)


def test_dns_is_tsharks(tmp_path: Path) -> None:
    cases = [
        ("web.shop", 1, None),
        ("web.shop", 28, 3),
        ("_x._tcp.Web.Shop", 33, 0),
        ("", 2, 2),
        ("a" * 63 + ".b", 65, 5),
    ]
    frames = [udp(dns(name, kind, code=code), code is None) for name, kind, code in cases]
    over_tcp = dns("big.shop", 16)
    frames += tcp_frames([(True, len(over_tcp).to_bytes(2, "big") + over_tcp)], 53)
    found = ours(tmp_path / "file", frames)
    compared = 0
    types = {1: "A", 28: "AAAA", 33: "SRV", 2: "NS", 65: "HTTPS", 16: "TXT"}
    codes = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}
    for mine, their in zip(found, theirs(tmp_path / "file"), strict=True):
        if mine is not None:
            assert mine["name"].rstrip(".") == their["dns.qry.name"].replace("<Root>", "").lower()
            assert mine["type"] == types[int(their["dns.qry.type"])]
            assert mine.get("code") == (codes[int(their["dns.flags.rcode"])] if their["dns.flags.rcode"] else None)
            compared += 1
    assert compared == len(cases) + 1


HELLO = hello_of(tls("quic.shop", TLS13, ["h3"], [], True))
CUT = len(HELLO) // 2
QUIC = {
    "one packet": ([quic_initial(crypto(0, HELLO))], 0),
    "version 2, a token, padding and PING first": (
        [quic_initial(bytes(3) + b"\1" + crypto(0, HELLO), version=0x6B3343CF, token=b"t" * 20)],
        0,
    ),
    "frames in another order": (
        [quic_initial(crypto(CUT, HELLO[CUT:]) + b"\1" + crypto(0, HELLO[:CUT]), 7)],
        0,
    ),
    "two packets": ([quic_initial(crypto(0, HELLO[:60])), quic_initial(crypto(60, HELLO[60:]), 1)], 1),
    "two packets, the second to the identifier that the server chose, with an ACK": (
        [
            quic_initial(crypto(0, HELLO[:60])),
            quic_initial(
                b"\2\0\0\0\0" + crypto(60, HELLO[60:]),
                1,
                connection=b"chosen",
                first=bytes.fromhex("8394c8f03e515708"),
            ),
        ],
        1,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", QUIC)
def test_the_server_name_in_quics_initial_packets_is_tsharks(case: str, tmp_path: Path) -> None:
    datagrams, at = QUIC[case]
    found = ours(tmp_path / "file", [udp(one, port=443) for one in datagrams])
    assert [number for number, one in enumerate(found) if one is not None] == [at]
    assert found[at] == {"kind": "quic-initial", "server_name": "quic.shop", "alpn": "h3"}
    if "chose" not in case:  # tshark wants to see the server choose it
        assert theirs(tmp_path / "file")[at]["tls.handshake.extensions_server_name"] == "quic.shop"


def test_a_quic_packet_that_was_changed_says_nothing(tmp_path: Path) -> None:
    packet = bytearray(quic_initial(crypto(0, HELLO)))
    packet[8] ^= 1  # of the identifier that its keys are made from
    assert ours(tmp_path / "file", [udp(bytes(packet), port=443)]) == [None]


def test_aes_is_that_of_the_standard() -> None:
    """FIPS 197, appendix C.1."""
    import numpy as np

    keys, work = np.zeros(ROUND_KEYS, np.uint8), np.zeros(16, np.uint8)
    expand(np.arange(16, dtype=np.uint8), keys)
    block = np.frombuffer(bytes.fromhex("00112233445566778899aabbccddeeff"), np.uint8).copy()
    encrypt(keys, block, work)
    assert block.tobytes().hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


OTHER = [
    b"EHLO mail.shop\r\n",
    b"GET it",
    b"GET / FTP/1.1\r\n",
    b"HTTP/1.1 2x0 OK",
    b"HTTP/2.0 200 OK",
    b"\x16\x03\x01",
    b"\x16\x03\x01\xff\xff\x01\x00\x00\x00\x03\x03",
    b"\x16\x04\x01\x00\x05\x01\x00\x00\x01\x03\x03",
    b"\x15\x03\x03\x00\x1a" + bytes(26),
    b"\x15\x03\x03\x00\x02\x09\x09",
    bytes(100),
]


@pytest.mark.parametrize("payload", OTHER, ids=range(len(OTHER)))
def test_other_payload_is_no_message(payload: bytes, tmp_path: Path) -> None:
    assert set(ours(tmp_path / "file", tcp_frames([(True, payload)], 80))) == {None}


def test_a_segment_that_is_sent_again_is_not_a_second_message(tmp_path: Path) -> None:
    frames = tcp_frames([(True, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")], 80)
    assert [one is not None for one in ours(tmp_path / "file", [*frames, frames[-1]])] == [False] * 3 + [True, False]


def test_a_hello_before_a_gap_is_not_shown_at_another_packet(tmp_path: Path) -> None:
    hello = tls("web.shop", TLS13, ["h2"], [], True)[0][1]
    frames = tcp_frames([(True, hello)], 443, segment=len(hello) - 40)
    more = tcp_frames([(True, hello + b"x" * 300)], 443, segment=len(hello) - 40)[-1]
    assert len(frames) == 5
    with_gap = [*frames[:4], more]
    assert ours(tmp_path / "file", with_gap) == [None] * 5


@pytest.mark.slow
@pytest.mark.random
@pytest.mark.parametrize("seed", range(20))
def test_damaged_messages_are_read_or_left_out(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    said = [tls(*TLS["TLS 1.3"])[0][1], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", tls(*TLS["TLS 1.2"])[1][1], HELLO]
    frames: list[bytes] = []
    for number in range(40):
        damaged = bytearray(chance.choice(said))
        for _ in range(chance.randrange(4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        damaged = damaged[: chance.randrange(1, len(damaged) + 1)]
        frames += tcp_frames([(True, bytes(damaged))], 443, 40_000 + number, chance.choice((50, 1400)))
        query = bytearray(dns("web.shop") + bytes(4))
        query[chance.randrange(len(query))] = chance.randrange(256)
        frames.append(udp(bytes(query[: chance.randrange(1, len(query))]), client_port=41_000 + number))
        initial = bytearray(QUIC["one packet"][0][0])
        initial[chance.randrange(40)] = chance.randrange(256)
        frames.append(udp(bytes(initial), port=443, client_port=42_000 + number))
    assert len(ours(tmp_path / "file", frames)) == len(frames)


def test_starts_of_messages_are_kept_of_a_bounded_number_of_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PENDING_MAX", 3)
    start, rest = b"GET / HTTP/1.1\r\nAccept: x\r\n", b"Host: web.shop\r\n\r\n"
    frames = [tcp_frames([(True, start), (True, rest)], 80, 40_000 + number) for number in range(5)]
    found = ours(tmp_path / "file", [part[at] for at in range(5) for part in frames])
    assert sum(one is not None for one in found) == 3
