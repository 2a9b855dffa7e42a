"""Parts of a conversation -> text, a hex dump, raw bytes or JSON lines; and the lines that say how complete it is."""

import codecs
import json
import re
import sys
import time
from base64 import b64encode
from typing import Any

import click

from capture.analysis.query.names import CLOSES
from capture.analysis.sessions.session_table import SIDES
from capture.analysis.streams.followed import Followed
from capture.analysis.streams.reassembly import Gap, Part, Said
from capture.units import format_duration, format_size
from capture.wire.addresses import Names
from capture.wire.protocols import protocol_name

_ROW = 16
_SHOWN = bytes(byte if 0x20 <= byte < 0x7F else ord(".") for byte in range(256))
_OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Control characters, and those of Unicode that hide text or turn its direction; not tab and newline."""


class Output:
    """What all forms share: turns of one side with a heading, gaps on a line of their own."""

    def __init__(self, followed: Followed) -> None:
        self._followed = followed
        self._first_ns: int | None = None
        self._turn: int | None = None
        self._gap: Gap | None = None

    def part(self, part: Part) -> None:
        """Show a part, behind those before it. Gaps that follow each other are one."""
        if self._first_ns is None:
            self._first_ns = part.time_ns
            click.echo(self._title())
        if isinstance(part, Gap):
            known = self._gap
            if known is not None and (known.side, known.why) == (part.side, part.why):
                size = known.size + part.size
                self._gap = Gap(known.side, known.time_ns, known.packet, known.offset, size, known.why)
            else:
                self._show_gap()
                self._gap = part
            return
        self._show_gap()
        datagram = self._followed.protocol == "udp"
        if part.side != self._turn or datagram:
            self._head(part, f", {len(part.data):,} bytes" if datagram else "")
        self._bytes(part)

    def end(self, names: Names) -> None:
        """The last lines: how much each side said, and whether that is all."""
        if self._first_ns is None:
            click.echo(self._title())
        self._show_gap()
        self._finish_line()
        click.echo("\n".join(audit_lines(self._followed, names)))

    def _title(self) -> str:
        return f"{self._followed.protocol} {self._followed.address(0)} > {self._followed.address(1)}"

    def _head(self, part: Part, more: str = "") -> None:
        self._finish_line()
        self._turn = part.side
        assert self._first_ns is not None
        after = format_duration(part.time_ns - self._first_ns)
        click.echo(f"-- {SIDES[part.side]}, {_clock(part.time_ns)} (+{after}), packet {part.packet}{more}")

    def _show_gap(self) -> None:
        gap, self._gap = self._gap, None
        if gap is None:
            return
        if gap.side != self._turn:
            self._head(gap)
        self._finish_line()
        click.echo(f"[{gap.size:,} bytes missing: {gap.why.value}]")

    def _finish_line(self) -> None:
        """End a line that is not complete."""

    def _bytes(self, said: Said) -> None:
        raise NotImplementedError


class Text(Output):
    """UTF-8; what a terminal would obey rather than show is a dot."""

    def __init__(self, followed: Followed) -> None:
        super().__init__(followed)
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = (decoder("replace"), decoder("replace"))
        self._open_line = False

    def _bytes(self, said: Said) -> None:
        text = visible(self._decoders[said.side].decode(said.data))
        click.echo(text, nl=False)
        self._open_line = self._open_line if not text else not text.endswith("\n")

    def _finish_line(self) -> None:
        if self._open_line:
            click.echo()
            self._open_line = False


class Hex(Output):
    """Offsets are of the side's own stream."""

    def _bytes(self, said: Said) -> None:
        rows = []
        for at in range(0, len(said.data), _ROW):
            row = said.data[at : at + _ROW]
            shown = row.translate(_SHOWN).decode()
            rows.append(f"{said.offset + at:08x}  {row.hex(' '):{3 * _ROW - 1}}  {shown}")
        if rows:
            click.echo("\n".join(rows))


class Raw(Output):
    """The bytes of a side as they are; a gap leaves nothing. All words go to stderr."""

    def part(self, part: Part) -> None:
        if isinstance(part, Said):
            sys.stdout.buffer.write(part.data)

    def end(self, names: Names) -> None:
        sys.stdout.buffer.flush()
        click.echo("\n".join(audit_lines(self._followed, names)), err=True)


class Json(Output):
    """An object for each part, and one for the session at the end."""

    def part(self, part: Part) -> None:
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
        click.echo(json.dumps(plain))

    def end(self, names: Names) -> None:
        click.echo(json.dumps({"type": "session"} | audit(self._followed, names)))


def visible(text: str) -> str:
    """Text without control characters, which could do anything to a terminal; lines stay lines."""
    return _OBEYED.sub(".", text.replace("\r\n", "\n"))


def audit(followed: Followed, names: Names) -> dict[str, Any]:
    """Who, when, how much each way, whether that is all, and why not."""
    dialogue, session = followed.dialogue, followed.session
    assert dialogue is not None
    found: dict[str, Any] = {
        "session": followed.number,
        "protocol": protocol_name(session.protocol),
        "start_ns": session.first_ns,
        "end_ns": session.last_ns,
        "first_packet": session.first_packet,
        "last_packet": session.last_packet,
        "close": CLOSES[session.close],
    }
    for side, (name, stream) in enumerate(zip(SIDES, dialogue.streams, strict=True)):
        found[name] = {
            "address": followed.address(side),
            "name": followed.address(side, names),
            "packets": dialogue.packets[side],
            "bytes": stream.said,
            "missing": {why.name.lower().replace("_", "-"): size for why, size in stream.missing.items()},
            "acknowledged": stream.acknowledged,
            "repeated": stream.repeated,
            "late": stream.late,
        }
    found["complete"] = not dialogue.why_incomplete
    found["why_incomplete"] = dialogue.why_incomplete
    found["same_five_tuple"] = sorted(followed.others)
    return found


def audit_lines(followed: Followed, names: Names) -> list[str]:
    """The audit for a person."""
    found = audit(followed, names)
    took = format_duration(found["end_ns"] - found["start_ns"])
    lines = [
        f"== session {found['session']}: {found['protocol']}, {_day(found['start_ns'])}, {took}, "
        f"packets {found['first_packet']} to {found['last_packet']}, {found['close']}"
    ]
    for name in SIDES:
        side = found[name]
        who = side["name"] + (f" ({side['address']})" if side["name"] != side["address"] else "")
        lines.append(f"== {name} {who}: {format_size(side['bytes'])} in {side['packets']:,} packets")
    lines.append(f"== {'complete' if found['complete'] else 'not complete: ' + '; '.join(found['why_incomplete'])}")
    if found["same_five_tuple"]:
        others = ", ".join(map(str, found["same_five_tuple"]))
        lines.append(f"== the same addresses and ports again: session {others}")
    return lines


def _clock(time_ns: int) -> str:
    return f"{time.strftime('%H:%M:%S', time.localtime(time_ns // 10**9))}.{time_ns // 1000 % 10**6:06d}"


def _day(time_ns: int) -> str:
    return f"{time.strftime('%Y-%m-%d', time.localtime(time_ns // 10**9))} {_clock(time_ns)}"
