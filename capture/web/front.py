"""The page's files, and who may ask -> an ASGI application that answers before the capture is opened.

Reading captures takes modules that are slow to load. The page itself needs none of them: it is served at once, while
a thread loads the rest, and questions about the capture wait for that. Only light modules are imported here.
"""

import asyncio
from concurrent.futures import Future
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from capture.web.page_guard import HEADERS, Guard

PAGE = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
_API = "/api/"


def page_files() -> dict[str, Path]:
    """Return the page's files by the path of their address; no other path names a file."""
    return {
        f"/{file.relative_to(PAGE).as_posix()}": file
        for file in sorted(PAGE.rglob("*"))
        if file.suffix in _TYPES and file.is_file()
    }


class Front:
    """Refuses what the guard refuses, puts the headers on every answer, and serves the page.

    `data` is what answers under /api/, once it is there. If it is cancelled, the server ends.
    """

    def __init__(self, guard: Guard, data: "Future[ASGIApp]") -> None:
        self._guard, self._data, self._files = guard, data, page_files()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        if scope["type"] != "http":  # no web sockets, no lifespan
            return
        refusal = self._guard.refusal(scope["path"], scope["method"], Headers(scope=scope))
        if refusal is not None:
            status, reason = refusal
            answer: ASGIApp = Response(reason + "\n", status, media_type="text/plain")
        elif scope["path"].startswith(_API):
            answer = await asyncio.shield(asyncio.wrap_future(self._data))  # who leaves cancels nothing
        else:
            answer = await asyncio.to_thread(self._page, scope["path"], scope["method"])
        await answer(scope, receive, with_headers)

    def _page(self, path: str, method: str) -> Response:
        file = self._files.get("/index.html" if path == "/" else path)
        if file is None:
            return Response("not found\n", 404, media_type="text/plain")
        if method == "POST":
            return Response("Method Not Allowed", 405, media_type="text/plain")
        return Response(file.read_bytes(), media_type=_TYPES[file.suffix])
