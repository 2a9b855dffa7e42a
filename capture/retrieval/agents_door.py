"""Agents that dial out -> the hub: an ASGI application, behind TLS, in the leading controller.

Every request has a token, and speaks for the node of that token's pod and for no other.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from capture.errors import ApiError
from capture.retrieval.agent_hub import AgentAnswer, AgentHub, ConnectedAgent
from capture.retrieval.agent_tokens import AgentTokens
from capture.retrieval.json_answer import bearer, refusal
from capture.retrieval.orders import (
    ANSWER_HEADER,
    ANSWERS_PATH,
    ORDER_PULSE_SECONDS,
    ORDERS_PATH,
    TIME_PATH,
    AnswerHead,
)
from capture.retrieval.refused import RefusedError

_log = logging.getLogger("bicap.audit")
REVIEWS_MOST = 8
"""Most questions to the API server at a time."""


class AgentsDoor:
    """Serves agents while `leads` says so."""

    def __init__(self, hub: AgentHub, tokens: AgentTokens, leads: Callable[[], bool]) -> None:
        self._hub, self._tokens, self._leads = hub, tokens, leads
        self._reviews = asyncio.Semaphore(REVIEWS_MOST)

    def application(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route(ORDERS_PATH, self._checked(self._orders), methods=["GET"]),
                Route(ANSWERS_PATH + "{order}", self._checked(self._answer), methods=["POST"]),
                Route(TIME_PATH, self._checked(self._time), methods=["GET"]),
            ]
        )

    def _checked(
        self, serve: Callable[[Request, str], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            try:
                if not self._leads():
                    raise RefusedError(503, "does not lead", "this controller does not lead")
                token = bearer(request)
                async with self._reviews:
                    node = await asyncio.to_thread(self._tokens.node_of, token)
                return await serve(request, node)
            except RefusedError as error:
                _log.warning("agent refused: %s", error, extra={"reason": error.reason, "peer": _peer(request)})
                return refusal(error)
            except ApiError as error:
                return refusal(RefusedError(503, "no API server", str(error)))

        return checked

    async def _orders(self, request: Request, node: str) -> Response:
        claimed = request.query_params.get("node", "")
        if claimed != node:
            raise RefusedError(403, "other node", f"the token is of node {node}, not of {claimed[:80]!r}")
        agent = self._hub.connect(node)
        return StreamingResponse(self._stream(agent), media_type="application/x-ndjson")

    async def _stream(self, agent: ConnectedAgent) -> AsyncIterator[bytes]:
        try:
            yield b"\n"
            while self._leads():
                try:
                    async with asyncio.timeout(ORDER_PULSE_SECONDS):
                        order = await agent.orders.get()
                except TimeoutError:
                    yield b"\n"
                    continue
                if order is None:
                    return
                yield msgspec.json.encode(order) + b"\n"
        finally:
            self._hub.leave(agent)

    async def _answer(self, request: Request, node: str) -> Response:
        try:
            head = msgspec.json.decode(request.headers.get(ANSWER_HEADER, ""), type=AnswerHead)
        except msgspec.DecodeError as error:
            return refusal(RefusedError(400, "bad answer", f"{ANSWER_HEADER}: {error}"))
        body = request.stream()
        answer = AgentAnswer(head, body)
        if not self._hub.deliver(node, request.path_params["order"], answer):
            return refusal(RefusedError(410, "not awaited", "nobody waits for this answer"))
        await answer.done.wait()
        # An agent that is still sending notices a closed connection at once.
        return Response(status_code=204, headers={} if answer.is_whole else {"Connection": "close"})

    async def _time(self, request: Request, node: str) -> Response:
        return Response(str(time.time_ns()), media_type="text/plain")


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
