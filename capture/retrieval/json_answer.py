"""Values and refusals -> answers in JSON; a request -> its bearer token."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from capture.retrieval.refused import RefusedError

_SCHEME = "bearer "


class JsonAnswer(Response):
    """A value as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the JSON."""
        return msgspec.json.encode(content)


def refusal(error: RefusedError) -> Response:
    """Return the answer to a request that gets nothing."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return JsonAnswer({"error": str(error)}, error.status, headers)


def bearer(request: Request) -> str:
    """Return the token of a request. Raises RefusedError."""
    given = request.headers.get("authorization", "")
    if not given.lower().startswith(_SCHEME) or not given[len(_SCHEME) :].strip():
        raise RefusedError(401, "no token", "the request has no Authorization: Bearer")
    return given[len(_SCHEME) :].strip()
