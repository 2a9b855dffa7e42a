"""Clients that say nothing, take nothing, or are too many -> cut, while others are served."""

import socket
from collections.abc import Iterator

import pytest

from capture.retrieval.bounded_server import ClientLimits
from testbed.patience import wait_until
from tests.unit.retrieval.doors import NODE, OpenDoors, open_doors

CONNECTIONS = 8
"""The limit of the users' door in these tests."""


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    with open_doors(tmp_path_factory.mktemp("doors") / "bicap", ClientLimits(60.0, 0.3)) as doors:
        yield doors


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    """Doors that wait a moment only for a request."""
    with open_doors(tmp_path_factory.mktemp("short") / "bicap", ClientLimits(0.1, 60.0)) as doors:
        yield doors


def connect(doors: OpenDoors) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", doors.users_port), timeout=10)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return sock


def is_cut(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("said", [b"", b"GET /v1/capture HTTP/1.1\r\nHost: x\r\n", b"G"])
def test_a_client_that_sends_no_whole_request_is_cut(short: OpenDoors, said: bytes) -> None:
    with connect(short) as sock:
        sock.sendall(said)
        assert is_cut(sock)


def test_connections_over_the_limit_are_closed_at_once_and_come_back_when_there_is_room(doors: OpenDoors) -> None:
    wait_until(lambda: doors.servers.connections("users") == 0)
    held = [connect(doors) for _ in range(CONNECTIONS)]
    try:
        wait_until(lambda: doors.servers.connections("users") == CONNECTIONS)
        for _ in range(50):
            with connect(doors) as sock:
                assert is_cut(sock)
    finally:
        for sock in held:
            sock.close()
    wait_until(lambda: answers(doors))


def answers(doors: OpenDoors) -> bool:
    with connect(doors) as sock:
        try:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return sock.recv(12) == b"HTTP/1.1 404"
        except OSError:
            return False


def test_a_client_that_takes_nothing_of_its_answer_is_cut(doors: OpenDoors) -> None:
    doors.keep(doors.cluster.add("c", "shop"), bytes(8 << 20))
    doors.connected()
    token = doors.allow("c", "shop")
    with connect(doors) as sock:
        sock.sendall(
            f"GET /v1/files/{NODE}/c-n1.pcapng HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        wait_until(lambda: doors.servers.connections("users") == 0)
    # The limit of this test is short for an answer on a busy machine, too: 503 then.
    wait_until(lambda: doors.get(f"/v1/files/{NODE}/c-n1.pcapng", token).status_code == 200)


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_an_error_of_that_connection(doors: OpenDoors, request_: bytes) -> None:
    with connect(doors) as sock:
        try:
            sock.sendall(request_)
            answer = sock.recv(12)
        except ConnectionError:
            answer = b""
    assert answer in (b"", b"HTTP/1.1 400")
    assert answers(doors)
