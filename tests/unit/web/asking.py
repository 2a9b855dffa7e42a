"""An ASGI application, asked in this process: no socket, no server."""

import asyncio
import json
from typing import Any
from urllib.parse import unquote

PORT = 8123
TOKEN = "right"


class PageAnswer:
    """Status, headers and body of an answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(app: Any, path: str, method: str = "GET", **headers: str | None) -> PageAnswer:
    """Ask as our own page does; a header of None is left out. Names have _ for -."""
    given = {"host": f"127.0.0.1:{PORT}", "x_bicap_token": TOKEN} | headers
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items() if value is not None]
    where, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(where), "raw_path": where.encode(), "query_string": query.encode(), "headers": raw,
        "root_path": "", "server": ("127.0.0.1", PORT), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    head = sent[0]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return PageAnswer(head["status"], {name.decode(): value.decode() for name, value in head["headers"]}, body)
