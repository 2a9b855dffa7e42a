"""A request that was granted -> the files of its capture, by range, and live: the same at every door.

A door adds who may fetch what: `Grant` returns the capture of a request, or refuses. `ROUTES` is what there is; the
doors serve it, and `openapi.py` describes it.
"""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from capture.cluster.objects import NodeCapture
from capture.cluster.view import KnownCapture
from capture.retrieval.agent_hub import AgentAnswer, AgentHub, NodeSilentError
from capture.retrieval.audit_log import AuditLog
from capture.retrieval.byte_ranges import parse_range
from capture.retrieval.capture_listing import capture_listing
from capture.retrieval.json_answer import JsonAnswer, refusal
from capture.retrieval.listed_files import CaptureListing
from capture.retrieval.live_relay import LiveRelay
from capture.retrieval.orders import Order
from capture.retrieval.refused import RefusedError

FILE_BYTES, LIVE_FRAMES = "application/octet-stream", "application/vnd.bicap.live"
JSON = "application/json"


class ErrorAnswer(msgspec.Struct):
    """Why a request gets nothing, in one line."""

    error: str


@dataclass(frozen=True, slots=True)
class ServedRoute:
    """A path below that of a capture, and what a request for it gets."""

    path: str
    serves: str
    """Name of the method of CaptureRoutes."""
    summary: str
    answers: Sequence[tuple[int, str, str, Any]]
    """Status, meaning, media type, and the type of the document; None for bytes."""
    methods: tuple[str, ...] = ("GET",)
    headers: Sequence[tuple[str, str]] = ()
    """Headers that matter, and what they do."""


ROUTES = (
    ServedRoute(
        "/capture",
        "listing",
        "What became of the capture on each node, and its files.",
        ((200, "The list.", JSON, CaptureListing),),
    ),
    ServedRoute(
        "/files/{node}/{name}",
        "file",
        "A file of a node, or a range of it; also while it is being written.",
        (
            (200, "The whole file. ETag is its SHA-256, once it is complete.", FILE_BYTES, None),
            (206, "The range, 8 MiB at most. Content-Digest is its SHA-256.", FILE_BYTES, None),
            (409, "The file cannot be read.", JSON, ErrorAnswer),
            (416, "The file is not that long; Content-Range says how long it is.", JSON, ErrorAnswer),
        ),
        ("GET", "HEAD"),
        (("Range", "bytes=FIRST-LAST, one range."), ("If-Range", "The ETag of the file that the range is of.")),
    ),
    ServedRoute(
        "/live",
        "live",
        "What all nodes catch, as they catch it: frames, until the capture ends.",
        ((200, "Frames.", LIVE_FRAMES, None),),
    ),
)
REFUSALS = (
    (401, "Nobody is known by this token."),
    (403, "Whoever it is may not fetch this capture."),
    (404, "There is no such capture, node or file."),
    (410, "The right has ended; make another."),
    (503, "This controller does not lead, or the agent of the node does not answer."),
)
"""Statuses that every route may answer with, as ErrorAnswer."""


class KnownCaptures(Protocol):
    """What the doors have to know of the cluster."""

    def capture(self, full_kind: str, namespace: str, name: str) -> KnownCapture | None:
        """Return the capture of a kind with this name."""

    def parts_of(self, uid: str) -> list[NodeCapture]:
        """Return the parts of a capture."""


@dataclass(frozen=True, slots=True)
class Granted:
    """By what right something is fetched, for the log, and the capture that it is good for."""

    by: str
    capture: KnownCapture


Grant = Callable[[Request], Awaitable[Granted]]
"""Returns what a request may fetch. Raises RefusedError."""


class CaptureRoutes:
    """Serves captures while `leads` says so."""

    def __init__(self, hub: AgentHub, captures: KnownCaptures, leads: Callable[[], bool]) -> None:
        self._hub, self._captures, self._leads = hub, captures, leads
        self._audit = AuditLog()

    def application(self, prefixes: Sequence[str], grant: Grant, more: Sequence[Route] = ()) -> Starlette:
        """Return the application of a door: every route below each prefix."""
        routes = [
            Route(prefix + route.path, self._granted(grant, getattr(self, route.serves)), methods=[*route.methods])
            for prefix in prefixes
            for route in ROUTES
        ]
        return Starlette(routes=[*routes, *more], exception_handlers={HTTPException: _plainly})

    def _granted(
        self, grant: Grant, serve: Callable[[Request, KnownCapture], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def granted(request: Request) -> Response:
            try:
                if not self._leads():
                    raise RefusedError(
                        503, "does not lead", "this controller does not lead; its Lease says which one does"
                    )
                allowed = await grant(request)
            except RefusedError as error:
                self._audit.refused(request, error)
                return refusal(error)
            self._audit.granted(request, allowed.by, allowed.capture)
            try:
                return await serve(request, allowed.capture)
            except RefusedError as error:
                return refusal(error)
            except NodeSilentError as error:
                return refusal(RefusedError(503, "node silent", str(error)))

        return granted

    async def listing(self, request: Request, capture: KnownCapture) -> Response:
        """Answer with the list of files."""
        return JsonAnswer(await capture_listing(self._hub, capture, self._captures.parts_of(capture.uid)))

    async def file(self, request: Request, capture: KnownCapture) -> Response:
        """Answer with a file, or a range of it."""
        node, name = request.path_params["node"], request.path_params["name"]
        uid = capture.uid
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

    async def live(self, request: Request, capture: KnownCapture) -> Response:
        """Answer with what nodes catch now."""
        uid = capture.uid
        relay = LiveRelay(self._hub, uid, lambda: self._captures.parts_of(uid), self._leads)
        return Streamed(relay.frames(), media_type=LIVE_FRAMES)


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
        super().__init__(body, head.status, headers, FILE_BYTES)


def _file_headers(answer: AgentAnswer) -> dict[str, str]:
    tag = {"ETag": f'"{answer.head.sha256}"'} if answer.head.sha256 else {}
    return {"Accept-Ranges": "bytes", **tag}


def _head(answer: AgentAnswer) -> Response:
    _check(answer)
    headers = _file_headers(answer) | {"Content-Length": str(answer.head.size)}
    return Response(None, 200, headers, FILE_BYTES)


def _check(answer: AgentAnswer) -> None:
    head = answer.head
    if head.status >= 400:
        error = RefusedError(head.status, "refused by the agent", head.error)
        if head.status == 416:
            raise HTTPException(416, head.error, {"Content-Range": f"bytes */{head.size}"})
        raise error


async def _plainly(request: Request, error: Exception) -> Response:
    """Return an error of HTTP in the form of all others."""
    assert isinstance(error, HTTPException)
    return JsonAnswer({"error": error.detail}, error.status_code, dict(error.headers or {}))
