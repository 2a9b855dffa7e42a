"""A followed session -> its ends, times, bytes of each side and completeness: as JSON, and as lines for a person."""

from typing import Any

from capture.analysis.query.names import CLOSES
from capture.analysis.sessions.session_table import SIDES
from capture.analysis.streams.followed import Followed
from capture.units import format_count, format_duration, format_size
from capture.views.moments import Clock
from capture.wire.addresses import Names
from capture.wire.protocols import protocol_name


def audit(followed: Followed, names: Names) -> dict[str, Any]:
    """Return plain values: `complete` is true if no byte is missing, `why_incomplete` lists what is missing."""
    dialogue, session = followed.dialogue, followed.session
    assert dialogue is not None
    plain: dict[str, Any] = {
        "session": followed.number,
        "protocol": protocol_name(session.protocol),
        "start_ns": session.first_ns,
        "end_ns": session.last_ns,
        "first_packet": session.first_packet,
        "last_packet": session.last_packet,
        "close": CLOSES[session.close],
    }
    for side, (name, stream) in enumerate(zip(SIDES, dialogue.streams, strict=True)):
        plain[name] = {
            "address": followed.address(side),
            "name": followed.address(side, names),
            "packets": dialogue.packets[side],
            "bytes": stream.said,
            "missing": {why.name.lower().replace("_", "-"): size for why, size in stream.missing.items()},
            "acknowledged": stream.acknowledged,
            "repeated": stream.repeated,
            "late": stream.late,
        }
    plain["complete"] = not dialogue.why_incomplete
    plain["why_incomplete"] = dialogue.why_incomplete
    plain["same_five_tuple"] = sorted(followed.others)
    return plain


def audit_lines(followed: Followed, names: Names, clock: Clock) -> list[str]:
    """Return the same as lines, which are shown below the transcript."""
    plain = audit(followed, names)
    took = format_duration(plain["end_ns"] - plain["start_ns"])
    lines = [
        f"== session {plain['session']}: {plain['protocol']}, {clock.dated_text(plain['start_ns'])}, {took}, "
        f"packets {plain['first_packet']} to {plain['last_packet']}, {plain['close']}"
    ]
    for name in SIDES:
        side = plain[name]
        who = side["name"] + (f" ({side['address']})" if side["name"] != side["address"] else "")
        lines.append(f"== {name} {who}: {format_size(side['bytes'])} in {format_count(side['packets'], 'packet')}")
    lines.append(f"== {'complete' if plain['complete'] else 'not complete: ' + '; '.join(plain['why_incomplete'])}")
    if plain["same_five_tuple"]:
        others = ", ".join(map(str, plain["same_five_tuple"]))
        lines.append(f"== other sessions with the same addresses and ports: {others}")
    return lines
