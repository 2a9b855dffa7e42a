"""The routes of a door -> its OpenAPI document: paths, headers, answers and their types, as they are served."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capture.retrieval.capture_routes import JSON, REFUSALS, ROUTES, ErrorAnswer, ServedRoute
from capture.retrieval.json_answer import JsonAnswer

OPENAPI_PATH = "/v1/openapi.json"
_SCHEMAS = "#/components/schemas/{name}"
_TYPES = {kind for route in ROUTES for _, _, _, kind in route.answers if kind is not None} | {ErrorAnswer}


def openapi_document(prefixes: Sequence[str], token: str) -> dict[str, Any]:
    """Return the document for every route below each prefix; `token` says what the bearer's token is."""
    _, components = msgspec.json.schema_components(_types(), ref_template=_SCHEMAS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bicap: files of captures in a cluster",
            "version": version("bicap"),
            "description": "Served by the controller that leads.",
        },
        "security": [{"token": []}],
        "paths": {prefix + route.path: _path(prefix, route) for prefix in prefixes for route in ROUTES},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": token}},
            "schemas": components,
        },
    }


def openapi_route(prefixes: Sequence[str], token: str) -> Route:
    """Return the route that serves the document, to anybody: it says nothing of a cluster."""
    answer = JsonAnswer(openapi_document(prefixes, token))

    async def serve(request: Request) -> Response:
        return answer

    return Route(OPENAPI_PATH, serve, methods=["GET"])


def _path(prefix: str, route: ServedRoute) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", prefix + route.path)
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names
    ]
    for name, text in route.headers:
        parameters.append({"name": name, "in": "header", "description": text, "schema": {"type": "string"}})
    return {"parameters": parameters} | {
        method.lower(): {
            "summary": route.summary,
            "operationId": f"{method.lower()}-{'-'.join(re.findall(r'[a-z]+', prefix + route.path))}",
            "responses": {
                **{str(status): _refusal(text) for status, text in REFUSALS},
                **{
                    str(status): _answer(text, media, kind, has_body=method != "HEAD")
                    for status, text, media, kind in route.answers
                },
            },
        }
        for method in route.methods
    }


def _refusal(text: str) -> dict[str, Any]:
    return _answer(text, JSON, ErrorAnswer)


def _answer(text: str, media: str, kind: Any, has_body: bool = True) -> dict[str, Any]:
    if not has_body:
        return {"description": text}
    schema = (
        {"$ref": _SCHEMAS.format(name=kind.__name__)} if kind is not None else {"type": "string", "format": "binary"}
    )
    return {"description": text, "content": {media: {"schema": schema}}}


def _types() -> list[Any]:
    return sorted(_TYPES, key=lambda kind: str(kind.__name__))
