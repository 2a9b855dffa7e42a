"""An address, and snapshots of a running capture -> a page that Prometheus reads.

The socket is bound before the capture starts, so that an address in use is an error at once. Pages are answered by a
thread, from the latest snapshot: a reader that stands still delays no packet.
"""

import socket
import threading
from collections.abc import Iterator
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from capture.errors import SpecError
from capture.metrics.families import Snapshot, families

DEFAULT_HOST = "127.0.0.1"


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of PORT, :PORT, HOST:PORT or [IPv6]:PORT; the host is loopback if none is given."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise SpecError(f"--metrics {text!r} is not an address; write PORT, or HOST:PORT like 127.0.0.1:9464")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise SpecError(f"--metrics {text!r}: write an IPv6 address in brackets, like [::1]:9464")
    return host or DEFAULT_HOST, int(port)


class _Quiet(WSGIRequestHandler):
    """Requests are not logged: standard error is the capture's."""

    timeout = 5.0

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each request, which ends with the process: a silent reader holds nothing up."""

    daemon_threads = True
    block_on_close = False


class _Server6(_Server):
    address_family = socket.AF_INET6


class MetricsServer:
    """A bound socket; `start` answers on it. Raises SpecError if the address cannot be used."""

    def __init__(self, address: str) -> None:
        host, port = parse_address(address)
        self._snapshot: Snapshot | None = None
        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry)
        kind = _Server6 if ":" in host else _Server
        try:
            self._server = kind((host, port), _Quiet)
        except OSError as error:
            raise SpecError(
                f"--metrics {address}: cannot listen there: {error.strerror}; give another port"
            ) from None
        self._server.set_app(make_wsgi_app(registry))
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer from now on. Threads keep the privileges that they are started with, so drop those before."""
        self._thread.start()

    def show(self, snapshot: Snapshot) -> None:
        """Answer with these numbers from now on."""
        self._snapshot = snapshot

    def close(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def collect(self) -> Iterator[Any]:
        """Return the families of the latest snapshot; prometheus-client calls this."""
        snapshot = self._snapshot
        if snapshot is not None:
            yield from families(snapshot, version("bicap"))
