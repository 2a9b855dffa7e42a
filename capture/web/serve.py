"""A capture that is to be opened -> a server on loopback that ends with Ctrl-C; and the browser, with the page open.

The address is said, and the page is served, before the capture and what reads it are loaded: a browser takes as long
to show the page as that takes.
"""

import contextlib
import secrets
import threading
import webbrowser
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from capture.errors import SpecError
from capture.listening import listen
from capture.web.page_guard import Guard

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from capture.web.opened import Opened

_LOOPBACK = "127.0.0.1"


def serve(open_capture: "Callable[[], Opened]", port: int, browser: bool, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C. `say` gets the address; then `open_capture` is called, in a thread.

    Raises SpecError, TargetError, and what `open_capture` raises.
    """
    try:
        import uvicorn

        from capture.web.front import Front
    except ImportError as error:
        raise SpecError(f"bicap web needs {error.name}; pip install 'bicap[web]'") from None
    sock = listen(_LOOPBACK, port, "try another --port")
    token = secrets.token_urlsafe(24)
    bound: int = sock.getsockname()[1]
    address = f"http://{_LOOPBACK}:{bound}/#token={token}"
    data: Future[ASGIApp] = Future()
    settings = uvicorn.Config(
        Front(Guard(token, bound), data),
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=1,
        server_header=False,
        date_header=False,
        access_log=False,
    )
    server = uvicorn.Server(settings)
    opened: list[Opened] = []
    failed: list[BaseException] = []

    def load() -> None:
        try:
            from capture.web.app import data_of
            from capture.web.index import open_or_read

            opened.append(open_capture())
            open_or_read(opened[0])
            data.set_result(data_of(opened[0]))
        except BaseException as error:
            failed.append(error)
            data.cancel()
            server.should_exit = True

    threading.Thread(target=load, name="opening", daemon=True).start()
    say(address)
    if browser:
        threading.Thread(target=lambda: webbrowser.open(address), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[sock])
    for one in opened:
        one.close()
    if failed:
        raise failed[0]
