"""ASGI applications and sockets -> servers in a thread of their own, whatever their clients do.

At most so many connections; a connection that says nothing, or takes nothing of what it asked for, is cut. So a
thousand slow clients cost as much as none after some seconds. Connections over the limit are closed at once, before
TLS: a connection whose handshake is under way counts like any other.
"""

import asyncio
import logging
import math
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from capture.errors import BicapError

_HEADERS_MOST = 16 << 10
_END_SECONDS = 2
_log = logging.getLogger("bicap.retrieval")


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How slow a client may be."""

    request_seconds: float = 10.0
    """Longest time from a connection, or the answer before, to a whole request; also that of TLS."""
    takes_nothing_seconds: float = 30.0
    """Longest time in which a client takes nothing of an answer that waits for it."""


@dataclass(frozen=True, slots=True)
class Door:
    """An application and where it listens. `tls` is None on loopback."""

    name: str
    application: ASGIApp
    socket: socket.socket
    connections: int
    tls: ssl.SSLContext | None = None
    limits: ClientLimits = ClientLimits()


class BrokenOff(logging.Filter):
    """An answer that cannot be finished is cut, which tells the client; for the log it is a line, not a trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for an error that is not a bug, and log its line."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, BicapError):
            return True
        _log.warning("an answer broke off: %s", error)
        return False


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 of a client that is not trusted to be quick."""

    def __init__(self, *words: Any, **settings: Any) -> None:
        super().__init__(*words, **settings)
        self._watch: asyncio.TimerHandle | None = None
        self._full: asyncio.TimerHandle | None = None
        self._early = bytearray()

    @property
    def _door(self) -> Door:
        door: Door = self.config.door  # type: ignore[attr-defined]
        return door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or close it if there are too many."""
        handshakes: set[asyncio.Task[None]] = self.config.handshakes  # type: ignore[attr-defined]
        if len(self.connections) + len(handshakes) >= self._door.connections:
            transport.abort()
        elif self._door.tls is None:
            self._begin(transport)
        else:
            transport.pause_reading()
            handshake = self.loop.create_task(self._start_tls(transport, self._door.tls))
            handshakes.add(handshake)
            handshake.add_done_callback(handshakes.discard)

    async def _start_tls(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        seconds = self._door.limits.request_seconds
        try:
            secure = await self.loop.start_tls(
                transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=_END_SECONDS,  # a client that does not say goodbye is not waited for
            )
        except OSError:  # the client went, or speaks something else
            return
        if secure is not None and not secure.is_closing():
            self._begin(secure)

    def _begin(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._expect_request()
        if self._early:
            super().data_received(bytes(self._early))
            self._early.clear()

    def data_received(self, data: bytes) -> None:
        """Take bytes; those that come with the end of a handshake are kept for a moment."""
        if self.transport is None:
            self._early += data
        else:
            super().data_received(data)

    def _expect_request(self) -> None:
        self._stop_watch()
        self._watch = self.loop.call_later(self._door.limits.request_seconds, self._end_if_idle)

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _end_if_idle(self) -> None:
        self._watch = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._expect_request()

    def pause_writing(self) -> None:
        """Note that the client takes nothing at the moment."""
        super().pause_writing()
        if self._full is None:
            seconds = self._door.limits.takes_nothing_seconds
            self._full = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that it does."""
        super().resume_writing()
        if self._full is not None:
            self._full.cancel()
            self._full = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_watch()
        if self._full is not None:
            self._full.cancel()
            self._full = None
        if self.transport is not None:  # else it was lost before it began
            super().connection_lost(exc)


class DoorServers:
    """Servers of doors, between `start` and `stop`.

    `make` returns the doors, `end` ends answers that would go on for ever; both are called in the event loop.
    """

    def __init__(self, make: Callable[[], Sequence[Door]], end: Callable[[], None] = lambda: None) -> None:
        self._make, self._end = make, end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._servers: dict[str, uvicorn.Server] = {}
        """By the names of the doors."""
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="doors", daemon=True)

    def start(self) -> None:
        """Start the thread; clients are served when it returns. Raises what `make` does."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Serve no more. Answers that are under way are cut after _END_SECONDS."""
        for server in self._servers.values():
            server.should_exit = True
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
        self._thread.join()

    def connections(self, name: str) -> int:
        """Return the number of connections of a door, with those whose handshake is under way."""
        server = self._servers[name]
        return len(server.server_state.connections) + len(server.config.handshakes)  # type: ignore[attr-defined]

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            _log.exception("bug: the doors are closed")
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        doors = self._make()
        self._servers = {door.name: _server(door) for door in doors}
        serving = [asyncio.ensure_future(self._servers[door.name].serve([door.socket])) for door in doors]
        while not all(server.started for server in self._servers.values()):
            if any(task.done() for task in serving):
                break
            await asyncio.sleep(0.01)
        self._started.set()
        await asyncio.gather(*serving)


def _server(door: Door) -> uvicorn.Server:
    config = uvicorn.Config(
        door.application,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=math.ceil(door.limits.request_seconds),
        timeout_graceful_shutdown=_END_SECONDS,
        h11_max_incomplete_event_size=_HEADERS_MOST,
    )
    config.load()
    logger = logging.getLogger("uvicorn.error")
    if not any(isinstance(one, BrokenOff) for one in logger.filters):
        logger.addFilter(BrokenOff())
    config.door, config.handshakes = door, set()  # type: ignore[attr-defined]
    return uvicorn.Server(config)
