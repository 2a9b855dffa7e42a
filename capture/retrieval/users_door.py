"""Requests with a secret -> the files of the capture that it is for: an application on the controller's loopback.

    GET /v1/capture             what became of the capture on each node, and its files
    GET /v1/files/NODE/NAME     a file, or a range of it; HEAD, too
    GET /v1/live                what nodes catch now

kubectl port-forward leads here, and nothing else does: that a user may use it is decided by RBAC, which capture the
user may fetch by the CaptureAccess. Every access that is granted or refused is a line in the log.
"""

import asyncio
import base64
import binascii
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from capture.cluster.objects import NodeCapture
from capture.cluster.view import KnownCapture
from capture.retrieval.access_book import SECRET_BYTES, AccessBook, OpenAccess
from capture.retrieval.agent_hub import AgentAnswer, AgentHub, NodeSilentError
from capture.retrieval.byte_ranges import parse_range
from capture.retrieval.capture_listing import capture_listing
from capture.retrieval.json_answer import JsonAnswer, bearer, refusal
from capture.retrieval.live_relay import LiveRelay
from capture.retrieval.orders import Order
from capture.retrieval.refused import RefusedError

LAG_SECONDS, LAG_STEP_SECONDS = 2.0, 0.05
"""Longest wait for an access that was made a moment ago, and the time between two looks."""
_GRANTS_KEPT = 10_000
_log = logging.getLogger("bicap.audit")


class KnownCaptures(Protocol):
    """What the door has to know of the cluster."""

    def capture(self, full_kind: str, namespace: str, name: str) -> KnownCapture | None:
        """Return the capture of a kind with this name."""

    def parts_of(self, uid: str) -> list[NodeCapture]:
        """Return the parts of a capture."""


@dataclass(frozen=True, slots=True)
class Granted:
    """An access, and the capture that it is for."""

    access: OpenAccess
    capture: KnownCapture


class UsersDoor:
    """Serves users while `leads` says so."""

    def __init__(
        self,
        book: AccessBook,
        hub: AgentHub,
        captures: KnownCaptures,
        leads: Callable[[], bool],
        now: Callable[[], Any],
    ) -> None:
        self._book, self._hub, self._captures, self._leads, self._now = book, hub, captures, leads, now
        self._grants: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Accesses and paths that the log has already."""

    def application(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/v1/capture", self._checked(self._capture), methods=["GET"]),
                Route("/v1/files/{node}/{name}", self._checked(self._file), methods=["GET", "HEAD"]),
                Route("/v1/live", self._checked(self._live), methods=["GET"]),
            ],
            exception_handlers={HTTPException: _plainly},
        )

    # Who may.

    def _checked(
        self, serve: Callable[[Request, Granted], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            try:
                granted = await self._grant(request)
            except RefusedError as error:
                extra = {"reason": error.reason, "status": error.status, "path": request.url.path[:200]}
                _log.warning("access refused: %s", error, extra=extra)
                return refusal(error)
            try:
                return await serve(request, granted)
            except RefusedError as error:
                return refusal(error)
            except NodeSilentError as error:
                return refusal(RefusedError(503, "node silent", str(error)))

        return checked

    async def _grant(self, request: Request) -> Granted:
        if not self._leads():
            raise RefusedError(503, "does not lead", "this controller does not lead; its Lease says which one does")
        secret = _secret(bearer(request))
        access = await self._find(secret)
        granted = Granted(access, self._book.capture_of(access, self._captures.capture))
        key = access.name, request.url.path
        if key not in self._grants:
            metadata = granted.capture.item.metadata
            extra = {
                "access": access.name,
                "capture": metadata.name,
                "uid": metadata.uid,
                "path": request.url.path[:200],
            }
            _log.info("access granted", extra=extra)
            self._grants[key] = None
            while len(self._grants) > _GRANTS_KEPT:
                self._grants.popitem(last=False)
        return granted

    async def _find(self, secret: bytes) -> OpenAccess:
        deadline = asyncio.get_running_loop().time() + LAG_SECONDS
        while True:
            try:
                return self._book.find(secret, self._now())
            except RefusedError as error:
                if error.status != 401 or asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(LAG_STEP_SECONDS)

    # What is served.

    async def _capture(self, request: Request, granted: Granted) -> Response:
        capture = granted.capture
        return JsonAnswer(await capture_listing(self._hub, capture, self._captures.parts_of(capture.uid)))

    async def _file(self, request: Request, granted: Granted) -> Response:
        node, name = request.path_params["node"], request.path_params["name"]
        uid = granted.capture.uid
        if not any(part.spec.node == node for part in self._captures.parts_of(uid)):
            raise RefusedError(404, "no such node", f"the capture has no part on node {node[:80]!r}")
        if request.method == "HEAD":
            async with self._hub.ask(node, Order("stat", uid, name)) as answer:
                return _head(answer)
        wanted = parse_range(request.headers.get("range"))
        order = Order("read", uid, name)
        if wanted is not None:
            if_range = request.headers.get("if-range", "")
            order = Order("read", uid, name, wanted.first, wanted.last, if_range)
        async with AsyncExitStack() as stack:
            answer = await stack.enter_async_context(self._hub.ask(node, order))
            _check(answer)
            return PassedOn(self._bytes(stack.pop_all(), answer, node, order), answer)
        raise AssertionError("unreachable")

    async def _bytes(
        self, stack: AsyncExitStack, answer: AgentAnswer, node: str, order: Order
    ) -> AsyncIterator[bytes]:
        """Yield the bytes of an answer; a whole file that is longer than one answer is asked for piece by piece."""
        head = answer.head
        async with stack:
            async for chunk in answer.chunks():
                yield chunk
        at = head.offset + head.length
        while head.status == 200 and at < head.size:
            piece = Order("read", order.capture, order.name, at, head.size - 1)
            async with self._hub.ask(node, piece) as more:
                if more.head.status != 206 or more.head.offset != at or not more.head.length:
                    raise NodeSilentError("the file became shorter")
                async for chunk in more.chunks():
                    yield chunk
                at += more.head.length

    async def _live(self, request: Request, granted: Granted) -> Response:
        uid = granted.capture.uid
        relay = LiveRelay(self._hub, uid, lambda: self._captures.parts_of(uid), self._leads)
        return Streamed(relay.frames(), media_type="application/vnd.bicap.live")


class Streamed(StreamingResponse):
    """Bytes as they come; their source is closed when the client is gone."""

    async def stream_response(self, send: Send) -> None:
        """Send them."""
        async with aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().stream_response(send)


class PassedOn(Streamed):
    """The bytes of an agent's answer."""

    def __init__(self, body: AsyncIterator[bytes], answer: AgentAnswer) -> None:
        head = answer.head
        whole = head.status == 200
        headers = _file_headers(answer) | {"Content-Length": str(head.size if whole else head.length)}
        if not whole:
            headers["Content-Range"] = f"bytes {head.offset}-{head.offset + head.length - 1}/{head.size}"
        if not whole or head.length == head.size:
            headers["Content-Digest"] = f"sha-256=:{head.digest}:"
        elif head.sha256:
            headers["Content-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(head.sha256)).decode()}:"
        super().__init__(body, head.status, headers, "application/octet-stream")


def _file_headers(answer: AgentAnswer) -> dict[str, str]:
    tag = {"ETag": f'"{answer.head.sha256}"'} if answer.head.sha256 else {}
    return {"Accept-Ranges": "bytes", **tag}


def _head(answer: AgentAnswer) -> Response:
    _check(answer)
    headers = _file_headers(answer) | {"Content-Length": str(answer.head.size)}
    return Response(None, 200, headers, "application/octet-stream")


def _check(answer: AgentAnswer) -> None:
    head = answer.head
    if head.status >= 400:
        error = RefusedError(head.status, "refused by the agent", head.error)
        if head.status == 416:
            raise HTTPException(416, head.error, {"Content-Range": f"bytes */{head.size}"})
        raise error


def _secret(text: str) -> bytes:
    """Return the secret of a token. Raises RefusedError."""
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise RefusedError(401, "unknown", f"the token is not {SECRET_BYTES} bytes in base64url")
    return secret


async def _plainly(request: Request, error: Exception) -> Response:
    """Return an error of HTTP in the form of all others."""
    assert isinstance(error, HTTPException)
    return JsonAnswer({"error": error.detail}, error.status_code, dict(error.headers or {}))
