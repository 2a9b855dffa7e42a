"""Ends of a conversation, each a process of its own, run by bench.application.

Blocking sockets and nothing else, so that what is measured is the network's way and not an HTTP library's: `http-ask`
sends one GET after another over one connection, and prints the microseconds of each answer as JSON; `tcp-send` prints
the bytes that it sent.
"""

import argparse
import json
import socket
import time

HTTP_PORT, TCP_PORT = 8000, 8001
_BODY = bytes(2_000)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_REQUEST = b"GET / HTTP/1.1\r\nHost: server\r\n\r\n"
_PIECE = bytes(1 << 18)


def _listen(port: int) -> socket.socket:
    listener = socket.create_server(("0.0.0.0", port))
    print("ready", flush=True)
    return listener.accept()[0]


def http_serve() -> None:
    connection = _listen(HTTP_PORT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while connection.recv(4096).endswith(b"\r\n\r\n"):
        connection.sendall(_ANSWER)


def http_ask(host: str, seconds: float) -> None:
    took: list[float] = []
    with socket.create_connection((host, HTTP_PORT)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            connection.sendall(_REQUEST)
            left = len(_ANSWER)
            while left:
                left -= len(connection.recv(left))
            took.append(round((time.perf_counter() - began) * 1e6, 1))
    print(json.dumps(took))


def tcp_take() -> None:
    connection = _listen(TCP_PORT)
    room = bytearray(1 << 20)
    while connection.recv_into(room):
        pass


def tcp_send(host: str, seconds: float) -> None:
    sent, end = 0, time.perf_counter() + seconds
    with socket.create_connection((host, TCP_PORT)) as connection:
        while time.perf_counter() < end:
            connection.sendall(_PIECE)
            sent += len(_PIECE)
    print(json.dumps(sent))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/talkers.py", description=__doc__)
    ends = parser.add_subparsers(required=True)
    for name, end in (("http-serve", http_serve), ("tcp-take", tcp_take)):
        ends.add_parser(name).set_defaults(run=lambda _, end=end: end())
    for name, start in (("http-ask", http_ask), ("tcp-send", tcp_send)):
        one = ends.add_parser(name)
        one.add_argument("host")
        one.add_argument("seconds", type=float)
        one.set_defaults(run=lambda asked, start=start: start(asked.host, asked.seconds))
    asked = parser.parse_args()
    asked.run(asked)


if __name__ == "__main__":
    main()
