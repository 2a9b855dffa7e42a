"""What the server and its children say of a capture -> JSON lines, and back.

A child has two lines to its caller. On the one the server says that it was forked, and how it ended, also if it was
killed; on the other the child says what became of its capture, and a recorder is told what fired elsewhere.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec


class Forked(msgspec.Struct, frozen=True, tag="forked"):
    """The child exists; its pidfd comes with the message."""

    pid: int


class NotForked(msgspec.Struct, frozen=True, tag="not forked"):
    """The server could not fork; there is no child."""

    reason: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The child has ended: its exit code, or -N if signal N killed it."""

    code: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Packets are being caught at these interfaces."""

    interfaces: list[str]


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """The account of a running capture, as in its summary; some packets may be on their way to the file."""

    account: dict[str, Any]
    interfaces: list[str]
    memory: str = ""
    """Of a recorder: how far back its memory reaches at the present rate."""


class WrittenUntil(msgspec.Struct, frozen=True, tag="written"):
    """All packets before this wall-clock time, ns, are in the file."""

    until_ns: int


class TriggerFired(msgspec.Struct, frozen=True, tag="fired"):
    """A trigger of a recorder fired, and began or prolonged an incident."""

    number: int
    """Number of it among all that fired; some are counted only."""
    rule: str
    at_ns: int
    """Wall-clock time."""
    session: str = ""
    clock: str = ""
    """State of the clock, with its error."""


class IncidentWritten(msgspec.Struct, frozen=True, tag="incident"):
    """A recorder has completed an incident."""

    file: str


class RingOrder(msgspec.Struct, frozen=True, tag="ring"):
    """To a recorder: a trigger fired elsewhere."""

    rule: str
    at_ns: int
    """Wall-clock time of this machine."""
    reason: str = ""
    session: str = ""
    labels: dict[str, str] = {}


class Concluded(msgspec.Struct, frozen=True, tag="concluded"):
    """The capture is over. `error` is the line that a user would see; the summary is there if it came to one."""

    error: str | None = None
    summary: dict[str, Any] | None = None


Message = (
    Forked
    | NotForked
    | Ended
    | Ready
    | Progress
    | WrittenUntil
    | TriggerFired
    | IncidentWritten
    | RingOrder
    | Concluded
)
Say = Callable[[Message], bool]
"""Sends a message; False if it was left out, because the caller has not read those before."""


Hear = Callable[[], Iterator[RingOrder]]
"""Yields what a recorder is told, and waits for it; ends when the caller is gone."""
_decoder = msgspec.json.Decoder(Message)


def line(message: Message) -> bytes:
    """Return the message as a line."""
    return msgspec.json.encode(message) + b"\n"


def whole_lines(buffer: bytearray) -> Iterator[Message]:
    """Take the whole lines out of a buffer; what a killed child left unfinished stays in it."""
    while (end := buffer.find(b"\n")) >= 0:
        yield _decoder.decode(buffer[:end])
        del buffer[: end + 1]
