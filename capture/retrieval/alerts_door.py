"""Alertmanager's webhook, behind TLS and a token -> alarms for recorders: a route of the door for programs.

    POST /v1/alerts   Authorization: Bearer TOKEN

The token is in a file, which the kubelet makes from a Secret and replaces when that changes; without one, no alert is
taken. A status of 5xx lets Alertmanager try again, and no other does.
"""

import asyncio
import hmac
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capture.alerts import BODY_MAX, BadRequestError, FiringAlert, firing_alerts, json_object
from capture.cluster.recorder_objects import AlertAnswer
from capture.errors import BicapError
from capture.retrieval.json_answer import JsonAnswer, bearer, refusal
from capture.retrieval.refused import RefusedError

ALERTS_PATH = "/v1/alerts"
TOKEN_LEAST = 16
"""Shortest token, in bytes: one that was left empty opens nothing."""
AT_ONCE = 4
"""Most requests whose alerts are on their way."""
Raise = Callable[[Sequence[FiringAlert]], list[AlertAnswer]]
"""Fires recorders, and waits until nodes are told. Raises BicapError."""


class AlertsDoor:
    """Takes alerts while `leads` says so."""

    def __init__(self, token_file: Path, fire: Raise, leads: Callable[[], bool]) -> None:
        self._token_file, self._fire, self._leads = token_file, fire, leads
        self._gate = asyncio.Semaphore(AT_ONCE)

    @property
    def route(self) -> Route:
        """The route."""
        return Route(ALERTS_PATH, self._answer, methods=["POST"])

    async def _answer(self, request: Request) -> Response:
        try:
            if not self._leads():
                raise RefusedError(503, "does not lead", "this controller does not lead")
            self._check(bearer(request))
            alerts = [*firing_alerts(json_object(await _body(request)))]
            async with self._gate:
                answers = await asyncio.to_thread(self._fire, alerts) if alerts else []
        except RefusedError as error:
            return refusal(error)
        except BadRequestError as error:
            return refusal(RefusedError(400, "not understood", str(error)))
        except BicapError as error:
            return refusal(RefusedError(503, "not told", str(error)))
        return JsonAnswer(msgspec.to_builtins(answers))

    def _check(self, given: str) -> None:
        try:
            token = self._token_file.read_bytes().strip()
        except OSError:
            token = b""
        if len(token) < TOKEN_LEAST:
            raise RefusedError(403, "no alerts", "this controller takes no alerts: it has no token for them")
        if not hmac.compare_digest(given.encode(), token):
            raise RefusedError(401, "unknown", "the token is not that of the Secret for alerts")


async def _body(request: Request) -> bytes:
    """Return the body. Raises RefusedError if it is too long."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_MAX:
            raise RefusedError(413, "too long", f"the body has more than {BODY_MAX} bytes")
    return body
