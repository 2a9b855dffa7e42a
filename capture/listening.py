"""An address -> a socket that listens there, or one line that says why not."""

import socket

from capture.errors import TargetError


def listen(host: str, port: int, remedy: str = "give another port") -> socket.socket:
    """Return a socket that listens; port 0 is any free one. Raises TargetError, which ends with `remedy`."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise TargetError(f"cannot listen on {host}:{port}: {error.strerror}; {remedy}") from None
    sock.listen(256)
    return sock
