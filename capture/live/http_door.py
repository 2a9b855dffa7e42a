"""HTTP on a loopback address -> causes: Alertmanager's webhook, or {"reason": "..."}.

    POST /trigger   Authorization: Bearer TOKEN

Each firing alert of Alertmanager's JSON (version 4) is a cause, with its labels; resolved ones are none. The token is
in a file that only its owner can read. Requests with another Host than a loopback address are refused, because a page
in a browser may send some (DNS rebinding).
"""

import contextlib
import hmac
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from capture.alerts import BODY_MAX, BadRequestError, firing_alerts, json_object, one_line
from capture.errors import SinkError, SpecError
from capture.live.cause import ALERTMANAGER, BEGAN, PROLONGED, Cause, Reply
from capture.sink.place import create, create_over

TOKEN_NAME = "http.token"
"""Name of the token's file in the folder of incidents."""
_HOSTS = ("127.0.0.1", "[::1]", "localhost")


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of a loopback address like 127.0.0.1:9099, or of a port alone. Raises SpecError."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if host not in ("127.0.0.1", "localhost"):
        raise SpecError(f"--http {text}: only a loopback address is possible; write 127.0.0.1:9099")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SpecError(f"--http {text}: {port!r} is no port; write 127.0.0.1:9099")
    return "127.0.0.1", int(port)


def causes_of(body: bytes, now_ns: int) -> Iterator[Cause]:
    """Yield the causes of a body. Raises BadRequestError."""
    found = json_object(body)
    if found.get("alerts") is None:
        yield Cause(rule="http", at_ns=now_ns, reason=one_line(found.get("reason", "")))
        return
    for alert in firing_alerts(found):
        yield Cause(rule=ALERTMANAGER, at_ns=now_ns, reason=alert.reason, labels=alert.labels)


def make_token(folder: str) -> str:
    """Write a new token into a folder and return it. Raises SinkError."""
    token, path = secrets.token_urlsafe(32), os.path.join(folder, TOKEN_NAME)
    try:
        try:
            descriptor = create(path, None)
        except FileExistsError:
            descriptor = create_over(path, None)
        with open(descriptor, "w") as file:
            file.write(token + "\n")
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}") from None
    return token


class HttpDoor:
    """A server on a loopback address; `fire` is called for each cause. Raises SinkError."""

    def __init__(self, address: tuple[str, int], token: str, fire: Callable[[Cause], Reply]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                self._answer(*_answer(self, token, fire))

            def do_GET(self) -> None:
                self._answer(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "POST /trigger"})

            def _answer(self, status: HTTPStatus, body: object) -> None:
                text = json.dumps(body).encode() + b"\n"
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Say nothing: what fires is reported by the recorder."""

        try:
            self._server = ThreadingHTTPServer(address, Handler)
        except OSError as error:
            where = f"{address[0]}:{address[1]}"
            raise SinkError(f"cannot listen on {where}: {error.strerror}; give another --http") from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def _answer(
    request: BaseHTTPRequestHandler, token: str, fire: Callable[[Cause], Reply]
) -> tuple[HTTPStatus, dict[str, Any]]:
    host = (request.headers.get("Host") or "").rsplit(":", 1)[0] if "Host" in request.headers else ""
    if host not in _HOSTS:
        return HTTPStatus.FORBIDDEN, {"error": "the Host is no loopback address"}
    given = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), token.encode()):
        return HTTPStatus.UNAUTHORIZED, {"error": f"the token is in {TOKEN_NAME} in the folder of incidents"}
    if request.path != "/trigger":
        return HTTPStatus.NOT_FOUND, {"error": "POST /trigger"}
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal() or int(length) > BODY_MAX:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"the body has no length of at most {BODY_MAX} bytes"}
    with contextlib.suppress(OSError):
        body = request.rfile.read(int(length))
        try:
            replies = [asdict(fire(cause)) for cause in causes_of(body, time.monotonic_ns())]
        except BadRequestError as error:
            return HTTPStatus.BAD_REQUEST, {"error": str(error)}
        # Alertmanager tries again after a status of 500 and more, and not after 429: a refusal is no failure.
        done = not replies or any(reply["answer"] in (BEGAN, PROLONGED) for reply in replies)
        return HTTPStatus.OK if done else HTTPStatus.TOO_MANY_REQUESTS, {"replies": replies}
    return HTTPStatus.BAD_REQUEST, {"error": "the body did not come"}
