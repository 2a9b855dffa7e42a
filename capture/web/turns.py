"""The two streams of a session -> turns: what one side said until the other spoke, as HTTP messages where it is that.

Bodies are cut at SHOWN; the rest is asked for, as bytes. Text has no control characters: it goes to the page as text.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from capture.analysis.streams.reassembly import Gap, Part, Said

SHOWN = 1 << 16
_TURNS = 2000
_REQUEST = re.compile(rb"[A-Z]{3,16} [^\r\n]{1,4096} HTTP/1\.[01]\r\n")
_ANSWER = re.compile(rb"HTTP/1\.[01] [0-9]{3}[^\r\n]*\r\n")
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Control characters except tab and newline, and characters that hide text or change its direction."""


@dataclass(slots=True)
class Turn:
    """Consecutive parts of one side."""

    side: int
    time_ns: int
    packet: int
    offset: int
    last_ns: int = 0
    last_packet: int = 0
    pieces: list[bytes | Gap] = field(default_factory=list)
    size: int = 0

    def add(self, part: Part) -> None:
        """Append a part."""
        self.last_ns, self.last_packet = part.time_ns, part.packet
        if isinstance(part, Said):
            if self.pieces and isinstance(self.pieces[-1], bytes):
                self.pieces[-1] += part.data
            else:
                self.pieces.append(part.data)
            self.size += len(part.data)
        else:
            known = self.pieces[-1] if self.pieces else None
            if isinstance(known, Gap) and known.why is part.why:
                self.pieces[-1] = Gap(
                    known.side, known.time_ns, known.packet, known.offset, known.size + part.size, known.why
                )
            else:
                self.pieces.append(part)


def turns(parts: Iterable[Part], datagrams: bool) -> list[Turn]:
    """Return the turns of a session; each datagram of UDP is one. Of very many only the first are returned."""
    found: list[Turn] = []
    for part in parts:
        if not found or found[-1].side != part.side or datagrams or _begins_message(part, found[-1]):
            if len(found) >= _TURNS:
                break
            found.append(Turn(part.side, part.time_ns, part.packet, part.offset))
        found[-1].add(part)
    return found


def _begins_message(part: Part, turn: Turn) -> bool:
    """True if the part is the start of another HTTP message of the same side."""
    if not isinstance(part, Said) or not turn.pieces or not isinstance(turn.pieces[0], bytes):
        return False
    start = turn.pieces[0][:8192]
    if not (_REQUEST.match(start) or _ANSWER.match(start)):
        return False
    return bool(_REQUEST.match(part.data) or _ANSWER.match(part.data))


def visible(text: str) -> str:
    """Return text with U+FFFD in place of characters that hide or control."""
    return _HIDDEN.sub("\ufffd", text.replace("\r\n", "\n"))


def plain(turn: Turn, start_ns: int) -> dict[str, Any]:
    """Return a turn as plain values."""
    head = _head(turn)
    body: list[dict[str, Any]] = []
    left, skip = SHOWN, head[2] if head else 0
    kind = dict(head[1]).get("Content-Type", "") if head else ""
    for piece in turn.pieces:
        if isinstance(piece, Gap):
            body.append({"gap": piece.size, "why": piece.why.value, "packet": piece.packet})
            continue
        data = piece[skip:]
        skip = max(skip - len(piece), 0)
        if not data:
            continue
        shown = data[:left]
        left -= len(shown)
        if shown:
            body.append(
                {**_content(shown, kind, len(turn.pieces) == 1 and len(shown) == len(data)), "size": len(data)}
            )
        elif data:
            body.append({"more": len(data)})
    return {
        "side": turn.side,
        "t": turn.time_ns - start_ns,
        "end": turn.last_ns - start_ns,
        "packet": turn.packet,
        "last": turn.last_packet,
        "offset": turn.offset,
        "size": turn.size,
        "line": head[0] if head else "",
        "status": _status(head[0]) if head else 0,
        "headers": head[1] if head else [],
        "body": body,
    }


def _head(turn: Turn) -> tuple[str, list[tuple[str, str]], int] | None:
    """Return (first line without the version, headers, bytes of the head) of an HTTP message."""
    data = turn.pieces[0] if turn.pieces and isinstance(turn.pieces[0], bytes) else b""
    start = data[:65536]
    if not (_REQUEST.match(start) or _ANSWER.match(start)):
        return None
    end = start.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *rest = visible(start[:end].decode("utf-8", "replace")).split("\n")
    headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in rest)][:100]
    words = first.split(" ")
    line = " ".join(words[1:]) if first.startswith("HTTP/") else " ".join(words[:-1])
    return line[:2000], headers, end + 4


def _status(line: str) -> int:
    return int(line[:3]) if line[:3].isdecimal() else 0


def _content(data: bytes, kind: str, whole: bool) -> dict[str, Any]:
    """Return text, or the hex of what is no text."""
    text = data.decode("utf-8", "replace")
    strange = sum(letter == "\ufffd" or (letter < " " and letter not in "\r\n\t") for letter in text[:4096])
    if strange > len(text[:4096]) // 20:
        return {"hex": data[:4096].hex(), "binary": True}
    if whole and ("json" in kind or text[:1] in "{["):
        try:
            text = (
                json.dumps(json.loads(text), indent=2, ensure_ascii=False)
                if "\n" not in text.strip() and len(text) > 90
                else text
            )
            return {"text": visible(text), "json": True}
        except ValueError:
            pass
    return {"text": visible(text), "json": "json" in kind}
