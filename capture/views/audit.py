"""A followed session -> who, when, how much each way, and whether that is all: JSON, and lines for a person."""

from typing import Any

from capture.analysis.query.names import CLOSES
from capture.analysis.sessions.session_table import SIDES
from capture.analysis.streams.followed import Followed
from capture.units import format_duration, format_size
from capture.views.moments import date_text
from capture.wire.addresses import Names
from capture.wire.protocols import protocol_name


def audit(followed: Followed, names: Names) -> dict[str, Any]:
    """Return plain values; `complete` is whether all is there, and `why_incomplete` what is missing, in words."""
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
    """Return the same for a person; what was said stands above."""
    found = audit(followed, names)
    took = format_duration(found["end_ns"] - found["start_ns"])
    lines = [
        f"== session {found['session']}: {found['protocol']}, {date_text(found['start_ns'])}, {took}, "
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
