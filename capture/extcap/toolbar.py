"""The two pipes of Wireshark's toolbar -> lines in its log, and messages of its controls. tshark has no toolbar."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

from capture.errors import SinkError
from capture.extcap.controls import ADD, DISABLE, ENABLE, KEEP, LOG, RULE, ControlMessage, decoded

CONTROL_IN, CONTROL_OUT = "--extcap-control-in", "--extcap-control-out"
_READ = 1 << 12
_OPENED_SECONDS = 2.0
"""Longest wait for Wireshark to open its end, before we end: it would wait for ours for ever."""


class Toolbar:
    """The toolbar's end of the pipes; without it, nothing is sent."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._pipe = pipe

    def send(self, message: ControlMessage) -> None:
        """Send a message, unless the toolbar is gone: the capture goes on."""
        if self._pipe is not None:
            with suppress(OSError):
                self._pipe.write(message.encode())

    def log(self, line: str) -> None:
        """Append a line to the log."""
        self.send(ControlMessage(LOG, ADD, f"{line}\n"))

    def enable(self, waits: bool) -> None:
        """Let the controls of a recorder be used, or not."""
        for control in (KEEP, RULE):
            self.send(ControlMessage(control, ENABLE if waits else DISABLE))


@contextmanager
def toolbar_of(
    protocol: Mapping[str, str], heard: Callable[[ControlMessage], None] = lambda _: None
) -> Iterator[Toolbar]:
    """Yield the toolbar that a call names, and call `heard`, in a thread, for each of its messages. Raises SinkError.

    Wireshark stands still until both pipes are open on our side. So this comes before whatever may fail.
    """
    path, path_in = protocol.get(CONTROL_OUT), protocol.get(CONTROL_IN)
    opened = threading.Event()
    if path_in:
        threading.Thread(target=_listen, args=(path_in, opened, heard), name="toolbar", daemon=True).start()
    try:
        with ExitStack() as stack:
            pipe: IO[bytes] | None = None
            if path:
                try:
                    pipe = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by the stack
                except OSError as error:
                    raise SinkError(f"cannot write {path}: {error.strerror}") from None
                stack.callback(_close, pipe)
            yield Toolbar(pipe)
    finally:
        if path_in:
            opened.wait(_OPENED_SECONDS)


def _close(pipe: IO[bytes]) -> None:
    with suppress(OSError):
        pipe.close()


def _listen(path: str, opened: threading.Event, heard: Callable[[ControlMessage], None]) -> None:
    rest = b""
    with suppress(OSError, ValueError), open(path, "rb", buffering=0) as pipe:
        opened.set()
        while data := os.read(pipe.fileno(), _READ):
            messages, rest = decoded(rest + data)
            for message in messages:
                heard(message)
