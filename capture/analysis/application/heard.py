"""A message in bytes, and where its parts are -> the message with its texts.

Texts come from strangers and are shown on terminals: they have at most _TEXT_MAX characters, none of which moves a
cursor.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from capture.analysis.application.message import MessageKind
from capture.arrays.aliases import Bytes

_TEXT_MAX = 255


@dataclass(slots=True)
class Heard:
    """A message. `packet` is the index in the batch of the packet that completes it, -1 if it was not completed."""

    session: int
    side: int
    packet: int
    kind: MessageKind
    name: str = ""
    """DNS: name of the question; TLS and QUIC: server name; HTTP: Host."""
    alpn: str = ""
    """Protocols, with commas between."""
    code: int = 0
    """DNS: response code; TLS: version or alert; HTTP: status."""
    type: int = 0
    """DNS: type of the question."""
    method: str = ""
    path: str = ""
    """HTTP: target of a request without its query."""


def told(data: Bytes, message: np.void, session: int, side: int, at: int) -> Heard:
    """Return a message with its texts."""
    kind = MessageKind(int(message["kind"]))
    heard = Heard(session, side, at, kind, code=int(message["code"]), type=int(message["type"]))

    def part(name: str) -> bytes:
        start = int(message[f"{name}_at"])
        return data[start : start + int(message[f"{name}_length"])].tobytes()

    if kind in (MessageKind.DNS_QUERY, MessageKind.DNS_ANSWER):
        heard.name = _domain(part("name"))
    elif kind is MessageKind.HTTP_REQUEST:
        start = int(message["start"])
        heard.name = _text(part("name")).lower()
        heard.path = _text(part("list").partition(b"?")[0])
        heard.method = _text(data[start : start + int(message["verb_length"])].tobytes())
    else:
        heard.name = _text(part("name")).lower()
        heard.alpn = ",".join(_listed(part("list")))
    return heard


def _listed(content: bytes) -> Iterator[str]:
    """Return the texts of a list, in which each goes behind its length in one byte."""
    at = 0
    while at < len(content) and content[at]:
        yield _text(content[at + 1 : at + 1 + content[at]]).replace(",", "\ufffd")
        at += 1 + content[at]


def _domain(labels: bytes) -> str:
    """Return a name from its labels on the wire; the root is a dot."""
    return ".".join(_text(part).replace(".", "\ufffd") for part in _labels(labels)).lower() or "."


def _labels(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content) and content[at]:
        yield content[at + 1 : at + 1 + content[at]]
        at += 1 + content[at]


def _text(content: bytes) -> str:
    """Return text that does not move a terminal's cursor, of at most _TEXT_MAX characters."""
    text = content[: 4 * _TEXT_MAX].decode("utf-8", "replace")[:_TEXT_MAX]
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)
