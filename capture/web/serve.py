"""An opened capture -> a server on loopback that ends with Ctrl-C; and the browser, with the page open."""

import contextlib
import secrets
import threading
import webbrowser
from collections.abc import Callable

from capture.errors import SpecError
from capture.listening import listen
from capture.web import index
from capture.web.opened import Opened

_LOOPBACK = "127.0.0.1"


def open_or_read(opened: Opened) -> None:
    """Open a capture by its index; without one begin to read it, and write the index at the end."""
    if index.read(opened):
        opened.finish()
    else:
        before = index.stamp(opened)
        opened.start(then=lambda read: index.write(read, before))


def serve(opened: Opened, port: int, browser: bool, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C. `say` gets the address. Raises SpecError, TargetError."""
    try:
        import uvicorn

        from capture.web.app import application
    except ImportError as error:
        raise SpecError(f"bicap web needs {error.name}; pip install 'bicap[web]'") from None
    sock = listen(_LOOPBACK, port, "try another --port")
    token = secrets.token_urlsafe(24)
    bound: int = sock.getsockname()[1]
    address = f"http://{_LOOPBACK}:{bound}/#token={token}"
    settings = uvicorn.Config(
        application(opened, token, bound),
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=1,
        server_header=False,
        date_header=False,
        access_log=False,
    )
    server = uvicorn.Server(settings)
    open_or_read(opened)
    say(address)
    if browser:
        threading.Thread(target=lambda: webbrowser.open(address), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[sock])
    opened.close()
