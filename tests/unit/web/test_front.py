"""The page is served while the capture is still loaded; questions about it wait."""

import asyncio
import subprocess
import sys
from concurrent.futures import Future
from typing import Any

from starlette.responses import Response

from capture.web.front import Front
from capture.web.page_guard import Guard
from tests.unit.web.asking import PORT, TOKEN


async def asked(front: Front, path: str) -> tuple[int, bytes]:
    """Status and body of an answer."""
    sent: list[dict[str, Any]] = []
    headers = [(b"host", f"127.0.0.1:{PORT}".encode()), (b"x-bicap-token", TOKEN.encode())]

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    await front({"type": "http", "method": "GET", "path": path, "headers": headers}, receive, send)
    return sent[0]["status"], sent[1]["body"]


def test_questions_wait_for_the_capture_and_the_page_does_not() -> None:
    data: Future[Any] = Future()
    front = Front(Guard(TOKEN, PORT), data)

    async def run() -> None:
        gone, waiting = (asyncio.create_task(asked(front, "/api/status")) for _ in range(2))
        status, body = await asked(front, "/")
        assert (status, b"<title>" in body) == (200, True)
        assert not waiting.done()
        gone.cancel()  # a browser that was closed takes nothing from another
        await asyncio.gather(gone, return_exceptions=True)
        data.set_result(Response("here"))
        assert await waiting == (200, b"here")

    asyncio.run(run())


def test_the_page_needs_nothing_that_is_slow_to_load() -> None:
    code = "import sys; import capture.cli.web, capture.web.serve, capture.web.front; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "numba", "pyarrow"} & set(done.stdout.split())
