"""An opened capture -> a server on loopback that ends with Ctrl-C; and the browser, with the page open."""

import contextlib
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable

from capture.errors import SpecError, TargetError
from capture.web import index
from capture.web.opened import Opened

_LOOPBACK = "127.0.0.1"


def listening(port: int) -> socket.socket:
    """Return a socket that listens on loopback; port 0 is any free one. Raises TargetError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((_LOOPBACK, port))
    except OSError as error:
        sock.close()
        raise TargetError(f"cannot listen on {_LOOPBACK}:{port}: {error.strerror}; try another --port") from None
    sock.listen(64)
    return sock


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
    sock = listening(port)
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
