"""Requests to the leading controller, over a way that may break -> the files of a capture, and ranges of them.

A request whose way broke is made again over a new one; an answer that says no is an error at once. Each range is
compared with its digest, so what comes from here is what the agent read from its disk.
"""

import base64
import contextlib
import hashlib
import http.client
import json
import socket
import time
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from capture.errors import ApiError, FormatError
from capture.kubectl.fetch_right import FetchRight
from capture.kubectl.port_forward import PortForward
from capture.retrieval.listed_files import CaptureListing, ListedFile

RANGE_BYTES = 8 << 20
ANSWER_SECONDS = 30.0
BUSY_SECONDS, BUSY_MAX = 2.0, 30
"""Wait after 503, and how many of them in a row are borne: a new leader needs some seconds to know its agents."""


class RemoteFiles:
    """The files of one capture."""

    def __init__(self, way: PortForward, right: FetchRight, sleep: Callable[[float], None] = time.sleep) -> None:
        self._way, self._right, self._sleep = way, right, sleep
        self._connection: http.client.HTTPConnection | None = None
        self._stream: socket.socket | None = None
        """The socket of `open`: its connection may forget it while the answer is read."""

    def abort(self) -> None:
        """Let the reading of what `open` returned, in another thread, end at once."""
        stream = self._stream
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; another request opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def listing(self) -> CaptureListing:
        """Return what there is now. Raises ApiError."""
        _, _, body = self._get("/v1/capture", {})
        try:
            return msgspec.json.decode(body, type=CaptureListing)
        except msgspec.DecodeError as error:
            raise ApiError(f"the controller's list of files cannot be read: {error}", 0) from None

    def read(self, node: str, file: ListedFile, first: int) -> bytes:
        """Return the bytes from `first` on, at most RANGE_BYTES. Raises ApiError, FormatError."""
        last = min(first + RANGE_BYTES, file.bytes) - 1
        headers = {"Range": f"bytes={first}-{last}"}
        if file.sha256:
            headers["If-Range"] = f'"{file.sha256}"'
        path = f"/v1/files/{quote(node)}/{quote(file.name)}"
        for _ in range(3):
            status, got, body = self._get(path, headers)
            if status == 200:
                raise FormatError(f"{file.name} on {node} has changed while it was fetched")
            start, _, total = got.get("Content-Range", "").removeprefix("bytes ").partition("/")
            if start.partition("-")[0] != str(first) or (file.sha256 and total != str(file.bytes)):
                raise ApiError(f"the controller sent bytes {start}/{total} of {file.name} instead of {first}-", 0)
            if _digest(got.get("Content-Digest", "")) in (None, hashlib.sha256(body).digest()) and body:
                return body
        raise FormatError(f"{file.name} on {node}: bytes from {first:,} on do not have their SHA-256, three times")

    def open(self, path: str) -> http.client.HTTPResponse:
        """Return the answer to one request, to be read by the caller. Raises ApiError, OSError, HTTPException."""
        self.close()
        connection = self._ask(path, {})
        self._stream = connection.sock
        answer = connection.getresponse()
        if answer.status >= 400:
            raise _refused(answer.status, answer.read())
        return answer

    def _get(self, path: str, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and body; goes on over a new way until the controller answers. Raises ApiError."""
        busy = expired = 0
        while True:
            try:
                status, got, body = self._once(path, headers)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                self._way.broke(str(error) or type(error).__name__)
                continue
            self._way.works()
            if status == 410 and not expired:
                expired += 1
                self._right.renew()
            elif status == 503 and busy < BUSY_MAX:
                busy += 1
                self.close()
                if busy % 3 == 0:  # another may lead by now
                    self._way.close()
                self._sleep(BUSY_SECONDS)
            elif status >= 400:
                raise _refused(status, body)
            else:
                return status, got, body

    def _ask(self, path: str, headers: dict[str, str]) -> http.client.HTTPConnection:
        """Send a request, over the connection that is open or a new one. Returns the connection."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._way.open(), timeout=ANSWER_SECONDS)
        self._connection.request("GET", path, headers=headers | {"Authorization": self._right.bearer()})
        return self._connection

    def _once(self, path: str, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage, bytes]:
        answer = self._ask(path, headers).getresponse()
        if answer.status == 200 and "Range" in headers:  # the whole file: it is not the one that was listed
            self.close()
            return 200, answer.headers, b""
        body = answer.read()
        if answer.will_close:
            self.close()
        return answer.status, answer.headers, body


def _digest(header: str) -> bytes | None:
    """Return the SHA-256 of a Content-Digest header (RFC 9530); None if it has none."""
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "sha-256" and value.startswith(":") and value.endswith(":"):
            return base64.b64decode(value[1:-1])
    return None


def _refused(status: int, body: bytes) -> ApiError:
    try:
        text = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        text = body[:100].decode("utf-8", "replace") or "no reason given"
    return ApiError(f"the controller refuses: {text}", status)
