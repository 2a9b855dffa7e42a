"""A unix socket -> causes: one line of JSON in, one line of JSON out (`bicap trigger`).

    {"reason": "checkout is slow"}  ->  {"answer": "began", "incident": "/incidents/incident-1.pcapng", "reason": ""}

Only its owner can open the socket. A thread of its own handles one request after the other; a client that says
nothing is dropped.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict

from capture.errors import SinkError, TargetError
from capture.live.cause import Cause, Reply

SOCKET_NAME = "trigger.socket"
"""Name of the socket in the folder of incidents."""
LINE_MAX = 1 << 16
PATIENCE_S = 5.0
_PATH_MAX = 107


class Doorbell:
    """An open socket; `fire` is called for each request. Raises SinkError."""

    def __init__(self, path: str, fire: Callable[[Cause], Reply]) -> None:
        self.path, self._fire = path, fire
        check_path(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            _remove_stale(path)
            self._socket.bind(path)
            self._socket.listen(8)
        except OSError as error:
            self._socket.close()
            raise SinkError(f"cannot make the socket {path}: {error.strerror}; name another with --socket") from None
        finally:
            os.umask(before)
        self._over = False
        self._thread = threading.Thread(target=self._serve, name="doorbell", daemon=True)

    def start(self) -> None:
        """Begin to answer; privileges of this thread are those of the server."""
        self._thread.start()

    def _serve(self) -> None:
        while not self._over:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE_S)
                answer = self._answer(read_line(connection))
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, object]:
        try:
            asked = json.loads(line) if line.strip() else {}
            reason = asked.get("reason", "")
            if not isinstance(reason, str):
                raise ValueError
        except (ValueError, AttributeError, RecursionError):
            return asdict(Reply("error", None, 'send one line of JSON, like {"reason": "..."}'))
        return asdict(self._fire(Cause(rule="socket", at_ns=time.monotonic_ns(), reason=" ".join(reason.split()))))

    def close(self) -> None:
        """Close and remove the socket."""
        self._over = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        if self._thread.is_alive():
            self._thread.join(PATIENCE_S)


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody answers any more. Raises OSError if somebody does, or if it is no socket."""
    if not os.path.exists(path):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(0, "another recorder answers there")


def check_path(path: str) -> None:
    """Raise SinkError if the kernel has no room for the path of a socket."""
    if len(os.fsencode(path)) > _PATH_MAX:
        raise SinkError(f"the path of the socket is longer than {_PATH_MAX} bytes: {path}; give a shorter --socket")


def read_line(connection: socket.socket) -> bytes:
    """Return the first line that comes, or what came before the end. Raises OSError after PATIENCE_S."""
    line = b""
    while b"\n" not in line and len(line) < LINE_MAX:
        more = connection.recv(4096)
        if not more:
            break
        line += more
    return line.partition(b"\n")[0]


def ring_socket(path: str, reason: str) -> Reply:
    """Fire the recorder behind a socket, or in whose folder of incidents it is. Raises TargetError."""
    if os.path.isdir(path):
        path = os.path.join(path, SOCKET_NAME)
    try:
        check_path(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(3 * PATIENCE_S)
            connection.connect(path)
            connection.sendall(json.dumps({"reason": reason}).encode() + b"\n")
            answer = json.loads(read_line(connection))
        return Reply(answer["answer"], answer["incident"], answer["reason"])
    except TimeoutError:
        raise TargetError(f"the recorder behind {path} does not answer") from None
    except OSError as error:
        raise TargetError(
            f"no recorder answers at {path}: {error.strerror or error}; name its folder of incidents or its --socket"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise TargetError(f"what answers at {path} is no recorder") from None
