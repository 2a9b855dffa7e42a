"""Requests with a secret -> the files of the capture that it is for: an application on the controller's loopback.

    GET /v1/capture             what became of the capture on each node, and its files
    GET /v1/files/NODE/NAME     a file, or a range of it; HEAD, too
    GET /v1/live                what nodes catch now
    GET /v1/openapi.json        all of this for programs

kubectl port-forward leads here, and nothing else does: that a user may use it is decided by RBAC, which capture the
user may fetch by the CaptureAccess. Every access that is granted or refused is a line in the log.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request

from capture.retrieval.access_book import SECRET_BYTES, AccessBook, OpenAccess
from capture.retrieval.agent_hub import AgentHub
from capture.retrieval.capture_routes import CaptureRoutes, Granted, KnownCaptures
from capture.retrieval.json_answer import bearer
from capture.retrieval.openapi import openapi_route
from capture.retrieval.refused import RefusedError

LAG_SECONDS, LAG_STEP_SECONDS = 2.0, 0.05
"""Longest wait for an access that was made a moment ago, and the time between two looks."""
PREFIX = "/v1"


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
        self._book, self._captures, self._now = book, captures, now
        self._routes = CaptureRoutes(hub, captures, leads)

    def application(self) -> Starlette:
        """Return the application."""
        about = "The secret of a CaptureAccess, 32 bytes in base64url; it decides which capture is served."
        return self._routes.application([PREFIX], self._grant, [openapi_route([PREFIX], about)])

    async def _grant(self, request: Request) -> Granted:
        access = await self._find(_secret(bearer(request)))
        return Granted(access.name, self._book.capture_of(access, self._captures.capture))

    async def _find(self, secret: bytes) -> OpenAccess:
        deadline = asyncio.get_running_loop().time() + LAG_SECONDS
        while True:
            try:
                return self._book.find(secret, self._now())
            except RefusedError as error:
                if error.status != 401 or asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(LAG_STEP_SECONDS)


def _secret(text: str) -> bytes:
    """Return the secret of a token. Raises RefusedError."""
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise RefusedError(401, "unknown", f"the token is not {SECRET_BYTES} bytes in base64url")
    return secret
