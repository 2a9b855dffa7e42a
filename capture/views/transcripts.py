"""Parts of a dialogue -> text, a hex dump or JSON lines, followed by the audit of the session."""

import codecs
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from capture.analysis.sessions.session_table import SIDES
from capture.analysis.streams.followed import Followed
from capture.analysis.streams.reassembly import Gap, Part, Said
from capture.units import format_count, format_duration
from capture.views.audit import audit, audit_lines
from capture.views.moments import Clock
from capture.wire.addresses import Names

_ROW = 16
_SHOWN = bytes(byte if 0x20 <= byte < 0x7F else ord(".") for byte in range(256))
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Control characters except tab and newline, and Unicode characters that hide text or change its direction."""


class Transcript:
    """Base of all forms: a heading above the turns of a side, and gaps on lines of their own."""

    def __init__(self, followed: Followed, clock: Clock) -> None:
        self._followed, self._clock = followed, clock
        self._first_ns: int | None = None
        self._turn: int | None = None
        self._gap: Gap | None = None

    def part(self, part: Part) -> str:
        """Return the text that a part adds. Consecutive gaps of one kind are merged, and shown with the next part."""
        return "".join(self._part(part))

    def end(self, names: Names) -> str:
        """Return the last lines: bytes of each side, and what is missing."""
        return "".join((*self._title(), *self._waiting_gap(), *self._line_end(), *self._audit(names)))

    def _part(self, part: Part) -> Iterator[str]:
        yield from self._title()
        if self._first_ns is None:
            self._first_ns = part.time_ns
        if isinstance(part, Gap):
            known = self._gap
            if known is not None and (known.side, known.why) == (part.side, part.why):
                size = known.size + part.size
                self._gap = Gap(known.side, known.time_ns, known.packet, known.offset, size, known.why)
            else:
                yield from self._waiting_gap()
                self._gap = part
            return
        yield from self._waiting_gap()
        datagram = self._followed.protocol == "udp"
        if part.side != self._turn or datagram:
            yield from self._head(part, f", {format_count(len(part.data), 'byte')}" if datagram else "")
        yield from self._bytes(part)

    def _title(self) -> Iterator[str]:
        if self._first_ns is None:
            yield f"{self._followed.protocol} {self._followed.address(0)} > {self._followed.address(1)}\n"

    def _head(self, part: Part, more: str = "") -> Iterator[str]:
        yield from self._line_end()
        self._turn = part.side
        assert self._first_ns is not None
        after = format_duration(part.time_ns - self._first_ns)
        at = self._clock.text(part.time_ns)
        yield f"-- {SIDES[part.side]}, {at} (+{after}), packet {part.packet}{more}\n"

    def _waiting_gap(self) -> Iterator[str]:
        gap, self._gap = self._gap, None
        if gap is None:
            return
        if gap.side != self._turn:
            yield from self._head(gap)
        yield from self._line_end()
        yield f"[{format_count(gap.size, 'byte')} missing: {gap.why.value}]\n"

    def _line_end(self) -> Iterator[str]:
        """Return a line feed if the last line is not complete."""
        return iter(())

    def _bytes(self, part: Said) -> Iterator[str]:
        raise NotImplementedError

    def _audit(self, names: Names) -> Iterator[str]:
        for line in audit_lines(self._followed, names, self._clock):
            yield line + "\n"


class TextTranscript(Transcript):
    """UTF-8; characters that control a terminal are shown as dots."""

    def __init__(self, followed: Followed, clock: Clock) -> None:
        super().__init__(followed, clock)
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = (decoder("replace"), decoder("replace"))
        self._open_line = False

    def _bytes(self, part: Said) -> Iterator[str]:
        text = visible(self._decoders[part.side].decode(part.data))
        if text:
            self._open_line = not text.endswith("\n")
            yield text

    def _line_end(self) -> Iterator[str]:
        if self._open_line:
            self._open_line = False
            yield "\n"


class HexTranscript(Transcript):
    """Rows of 16 bytes; offsets count from the start of the side's stream."""

    def _bytes(self, part: Said) -> Iterator[str]:
        for at in range(0, len(part.data), _ROW):
            row = part.data[at : at + _ROW]
            shown = row.translate(_SHOWN).decode()
            yield f"{part.offset + at:08x}  {row.hex(' '):{3 * _ROW - 1}}  {shown}\n"


class JsonTranscript(Transcript):
    """An object for each part, and one for the session at the end."""

    def part(self, part: Part) -> str:
        """Return the part's object."""
        plain: dict[str, Any] = {
            "type": type(part).__name__.lower(),
            "side": SIDES[part.side],
            "time_ns": part.time_ns,
            "packet": part.packet,
            "offset": part.offset,
        }
        if isinstance(part, Said):
            plain |= {"size": len(part.data), "data": b64encode(part.data).decode()}
        else:
            plain |= {"size": part.size, "why": part.why.name.lower().replace("_", "-")}
        return json.dumps(plain) + "\n"

    def end(self, names: Names) -> str:
        """Return the session's object."""
        return json.dumps({"type": "session"} | audit(self._followed, names)) + "\n"


def raw_bytes(part: Part) -> bytes:
    """Return the bytes of a part unchanged; b"" for a gap."""
    return part.data if isinstance(part, Said) else b""


def visible(text: str) -> str:
    """Return text with dots in place of characters that control a terminal; line breaks stay."""
    return _CONTROL.sub(".", text.replace("\r\n", "\n"))
