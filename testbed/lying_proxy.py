"""An HTTP proxy in front of a store that changes what the store says, as broken middleboxes do."""

import http.client
import threading
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Lie(Enum):
    """What it says instead of the truth."""

    NONE = "none"
    SWALLOWED = "a write is answered, and not done"
    SHORTER = "HEAD reports half of the size"
    HALF = "GET has the first half of the content"
    OTHER_BYTE = "GET has another byte in the middle"
    CUT = "the answer to a write is cut off after the write was done"


class LyingProxy:
    """Listens on loopback between `__enter__` and `__exit__`; `lie` may be changed at any time."""

    def __init__(self, port: int) -> None:
        self.lie, self._behind = Lie.NONE, port
        self.written = threading.Event()
        """Set when a write was answered."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, headers, content = proxy.answer(self.command, self.path, dict(self.headers), body)
                if self.command in ("PUT", "POST"):
                    proxy.written.set()
                    if proxy.lie is Lie.CUT:
                        self.close_connection = True
                        return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - names of http.server

            def log_message(self, format: str, *args: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body that a client gets."""
        if method == "PUT" and self.lie is Lie.SWALLOWED:
            return 200, {"Content-Length": "0", "ETag": '"0123456789abcdef0123456789abcdef"'}, b""
        behind = http.client.HTTPConnection("127.0.0.1", self._behind, timeout=30)
        behind.request(method, path, body, headers)  # Host is signed, and stays that of the proxy
        found = behind.getresponse()
        content = found.read()
        behind.close()
        kept = {
            name: value
            for name, value in found.getheaders()
            if name.lower() not in ("transfer-encoding", "connection", "content-length")
        }
        size = int(found.getheader("Content-Length") or 0) if method == "HEAD" else len(content)
        if found.status in (200, 206):
            if method == "HEAD" and self.lie is Lie.SHORTER:
                size //= 2
            elif method == "GET" and self.lie is Lie.HALF:
                content = content[: len(content) // 2]
                size = len(content)
            elif method == "GET" and self.lie is Lie.OTHER_BYTE and content:
                middle = len(content) // 2
                content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        return found.status, kept | {"Content-Length": str(size)}, content

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
