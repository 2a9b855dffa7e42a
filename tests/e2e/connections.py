"""Many short TCP connections, each end on a CPU of its own. Run inside a pod.

python connections.py serve CPU              a server on port 7000 that echoes, until killed
python connections.py talk CPU HOST COUNT    one connection after the other, each with a word and its echo
"""

import os
import socket
import sys

PORT = 7000


def serve() -> None:
    with socket.create_server(("", PORT)) as listener:
        print("serving", flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.recv(100))


def talk(host: str, count: int) -> None:
    for _ in range(count):
        with socket.create_connection((host, PORT), timeout=100) as connection:
            connection.sendall(b"word")
            assert connection.recv(100) == b"word"


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[2])})
    if sys.argv[1] == "serve":
        serve()
    talk(sys.argv[3], int(sys.argv[4]))
