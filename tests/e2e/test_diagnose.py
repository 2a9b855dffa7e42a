"""Real trouble on a wire -> `bicap diagnose` names it, its place, and the packets that show it."""

import contextlib
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.relay import ADDRESSES, CLIENT, PASSES, SERVER, Fate, Policy, Wire, payload_bytes, wire
from testbed.tool import bicap
from tests.e2e.test_analysis import PORT, closed_port, connect, converse, in_vain, listen, loses, lossy
from tests.unit.analysis.application.talks import tls

FIN, SYN = 0x01, 0x02
no_syn = loses(CLIENT, SYN, SYN, lost_after=True)


def diagnose(*files: Path) -> list[Any]:
    done = bicap("diagnose", "--json", *map(str, files))
    assert (done.code, done.stderr) == (0, "")
    found: list[Any] = json.loads(done.stdout)["findings"]
    return found


def passes(*_: object) -> Fate:
    return PASSES


@contextlib.contextmanager
def connected(on: Wire) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection: the client's socket and the server's."""
    with listen(on) as listener, connect(on) as connection:
        accepted, _ = listener.accept()
        with accepted:
            yield connection, accepted


def upload(on: Wire) -> None:
    """Send a small request, then a large one that does not arrive."""
    with connected(on) as (connection, accepted):
        connection.sendall(b"small")
        assert accepted.recv(100) == b"small"
        connection.sendall(bytes(10_000))
        accepted.settimeout(1.5)
        with pytest.raises(TimeoutError):
            accepted.recv(100)


def small_only(frame: bytes, _side: int, _number: int) -> Fate:
    return Fate(lost_after=True) if payload_bytes(frame) > 1300 else PASSES


def deaf_receiver(on: Wire) -> None:
    with connected(on) as (connection, _):
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.sendall(bytes(20_000_000))
        time.sleep(0.5)


def questions(on: Wire) -> None:
    """Three DNS queries to a server that is there and says nothing."""
    query = bytes.fromhex("000001000001000000000000") + b"\3web\4shop\0\0\1\0\1"
    silent, here = (
        on.namespaces[side].run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for side in (SERVER, CLIENT)
    )
    with silent, here:
        silent.bind((ADDRESSES[SERVER], 53))
        for number in range(3):
            here.sendto(bytes([0, number]) + query[2:], (ADDRESSES[SERVER], 53))
            silent.recv(100)


def slow_reader(on: Wire) -> None:
    """The client reads only when the server has filled its window."""
    with connected(on) as (connection, accepted):
        accepted.settimeout(0.5)
        with pytest.raises(TimeoutError):
            accepted.sendall(bytes(20_000_000))
        accepted.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass


def forgotten_connection(on: Wire) -> None:
    """The client writes to a connection that the server has closed, of which the network told it nothing."""
    with listen(on) as listener, connect(on) as connection:
        accepted, _ = listener.accept()
        connection.sendall(b"question")
        accepted.sendall(accepted.recv(100))
        connection.recv(100)
        accepted.close()
        connection.sendall(b"more")
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def ports_used_up(on: Wire) -> None:
    """The client has two ports, and both stay in TIME-WAIT."""

    def run(*words: str) -> None:
        subprocess.run(words, check=True)

    on.namespaces[CLIENT].run(lambda: run("sysctl", "-qw", "net.ipv4.ip_local_port_range=50000 50001"))
    with listen(on) as listener:
        for _ in range(2):
            with connect(on):
                accepted, _ = listener.accept()
            assert not accepted.recv(1)
            accepted.close()
        with pytest.raises(OSError, match="Cannot assign requested address"):
            connect(on)


def answers(*said: bytes) -> Callable[[Wire], None]:
    """A server that gives these answers to as many requests of one connection."""

    def talk(on: Wire) -> None:
        with connected(on) as (connection, accepted):
            for answer in said:
                connection.sendall(b"GET /cart HTTP/1.1\r\nHost: web.shop\r\n\r\n")
                accepted.recv(1000)
                accepted.sendall(answer)
                connection.recv(1000)

    return talk


def refused_certificate(on: Wire) -> None:
    """A client that does not know who signed the server's certificate."""
    with connected(on) as (connection, accepted):
        for by_client, said in tls("web.shop", ssl.TLSVersion.TLSv1_2, [], [], trusting=False):
            sender, receiver = (connection, accepted) if by_client else (accepted, connection)
            sender.sendall(said)
            left = len(said)
            while left:
                left -= len(receiver.recv(left))


def overtaken(frame: bytes, _side: int, number: int) -> Fate:
    return Fate(held_before_s=0.002) if payload_bytes(frame) and number % 5 == 0 else PASSES


def copied(*_: object) -> Fate:
    return Fate(copied=True)


BESIDE = {
    "no one reads": ["reset"],  # the server closes with data that it has not read
    "small MTU": ["retransmissions"],  # of the segments that do not arrive
}
"""Other findings, which are true as well."""
CASES: dict[str, tuple[Callable[[Wire], None], Policy, str, str]] = {
    "closed port": (closed_port, passes, "failed-handshake", "1 of 1 connection to {server} was refused by RST"),
    "dropped SYN": (in_vain, no_syn, "failed-handshake", "1 of 1 connection to {server} was not answered"),
    "small MTU": (upload, small_only, "mtu-black-hole", "large segments from {client} to {server} do not arrive"),
    "no one reads": (deaf_receiver, passes, "zero-window", "{server} had no room for data from {client}"),
    "a slow server": (lambda on: converse(on, 3, 100, think_s=0.3), passes, "slow", "{server} takes 3"),
    "a silent resolver": (questions, passes, "unanswered", "3 of 3 DNS queries to {resolver} got no answer"),
    "a slow client": (slow_reader, passes, "zero-window", "{client} had no room for data from {server}"),
    "a connection that the server forgot": (
        forgotten_connection,
        loses(SERVER, FIN, FIN, lost_before=True),
        "reset",
        "1 of 1 session with {server} was ended by RST of the server",
    ),
    "a certificate that the client does not know": (
        refused_certificate,
        passes,
        "tls-alert",
        "1 of 1 session with {server}: certificate refused by the client (unknown ca)",
    ),
    "errors of a web server": (
        answers(b"HTTP/1.1 200 OK\r\n\r\n", *[b"HTTP/1.1 503 Service Unavailable\r\n\r\n"] * 2),
        passes,
        "http-5xx",
        "503 from {server} in 67% of answers (2 of 3)",
    ),
    "loss": (lambda on: converse(on, 3, 300_000), lossy(2), "retransmissions", "data packets"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_finding_is_the_trouble_that_was_made(case: str, tmp_path: Path) -> None:
    talk, policy, kind, words = CASES[case]
    with wire(tmp_path / "file", policy) as on:
        talk(on)
    first, *others = diagnose(tmp_path / "file")
    assert (first["kind"], [other["kind"] for other in others]) == (kind, BESIDE.get(case, []))
    ends = {
        "client": ADDRESSES[CLIENT],
        "server": f"{ADDRESSES[SERVER]}:{PORT}",
        "resolver": f"{ADDRESSES[SERVER]}:53",
    }
    assert words.format(**ends) in first["what"]
    assert first["evidence"][0]["session"] == 1
    assert first["evidence"][0]["packet"] > 0


def test_a_connection_that_three_points_saw_is_one(tmp_path: Path) -> None:
    with wire(tmp_path / "file", ends=True) as on:
        closed_port(on)
    done = bicap("diagnose", str(tmp_path / "file"))
    assert done.stdout.startswith("1 session; ")
    assert f"1. 1 of 1 connection to {ADDRESSES[SERVER]}:{PORT} was refused by RST" in done.stdout


HARMLESS: dict[str, tuple[Callable[[Wire], None], Policy]] = {
    "a wire without faults": (converse, passes),
    "packets that overtake each other": (converse, overtaken),
    "a SPAN port that copies each packet twice": (converse, copied),
    "nothing that the wire shows": (ports_used_up, passes),
    "a name that is not found on a web server": (answers(b"HTTP/1.1 404 Not Found\r\n\r\n"), passes),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_no_fault_gives_no_finding(case: str, tmp_path: Path) -> None:
    talk, policy = HARMLESS[case]
    with wire(tmp_path / "file", policy, delays_s=(0.01, 0.01)) as on:
        talk(on)
    assert diagnose(tmp_path / "file") == []


def test_the_evidence_of_loss_is_the_first_packet_that_tshark_calls_a_retransmission(tmp_path: Path) -> None:
    def once(frame: bytes, side: int, number: int) -> Fate:
        return Fate(lost_after=side == SERVER and number in (10, 20, 30))

    with wire(tmp_path / "file", once) as on:
        converse(on, 1, 100_000)
    (finding,) = diagnose(tmp_path / "file")
    words = ["-Y", "tcp.analysis.retransmission", "-T", "fields", "-e", "frame.number"]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(tmp_path / "file"), *words], capture_output=True, text=True, check=True
    )
    assert finding["kind"] == "retransmissions"
    assert "3 were lost or late after this point" in finding["what"]
    assert finding["evidence"] == [
        {"file": str(tmp_path / "file"), "session": 1, "packet": int(done.stdout.split()[0])}
    ]


def test_several_files_are_read_as_one_and_a_damaged_one_as_far_as_possible(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with wire(tmp_path / name) as on:
            closed_port(on)
    whole = (tmp_path / "two").read_bytes()
    (tmp_path / "two").write_bytes(whole[:-3] + b"xyz")
    done = bicap("diagnose", str(tmp_path / "one"), str(tmp_path / "two"))
    assert done.code == 5
    assert "two is damaged at byte" in done.stderr
    server = f"{ADDRESSES[SERVER]}:{PORT}"
    assert [line for line in done.stdout.splitlines() if not line.startswith("   next")] == [
        "2 sessions; the file does not say whether the capture lost packets",
        f"1. 1 of 2 connections to {server} was refused by RST",
        "   see one: session 1, packet 2",
        f"2. 1 of 2 connections to {server} was not answered",
        "   see two: session 1, packet 1",
        "no handshake or request of a TCP session was seen, so no wait was measured",
    ]
