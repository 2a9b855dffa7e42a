"""Latencies -> a table of measures and sides, the samples left out, and the sentence about waits; or JSON.

Of groups of sessions, the same for each group under a line that names it.
"""

from dataclasses import asdict
from typing import Any

from capture.analysis.latency.groups import LatencyGroups
from capture.analysis.latency.waits import Latency
from capture.units import format_count, format_duration

_COLUMNS = ("min", "median", "p90", "p99", "max")
_LEFT_OUT = {
    "ambiguous": ("acknowledgment of a retransmitted segment", "acknowledgments of retransmitted segments"),
    "unsampled": (
        "segment not followed because too many were in flight",
        "segments not followed because too many were in flight",
    ),
    "handshakes_ambiguous": (
        "half of a handshake with a repeated SYN or SYN-ACK",
        "halves of handshakes with a repeated SYN or SYN-ACK",
    ),
    "questions_repeated": ("DNS query or echo request sent again", "DNS queries and echo requests sent again"),
    "questions_unanswered": (
        "DNS query or echo request without an answer",
        "DNS queries and echo requests without an answer",
    ),
}
"""Samples that are left out: singular and plural."""


def latency_json(latency: Latency) -> dict[str, Any]:
    """Return plain values."""
    return {
        "measures": [asdict(distribution) for distribution in latency.distributions()],
        "left_out": latency.left_out,
        "wait_ns": latency.wait_ns,
        "sentence": latency.sentence,
    }


def latency_text(latency: Latency) -> str:
    """Return the lines, without a line feed at the end."""
    lines = [f"{'MEASURE':16}{'SIDE':8}{'SAMPLES':>10}" + "".join(f"{name.upper():>10}" for name in _COLUMNS)]
    for row in latency.distributions():
        values = (format_duration(getattr(row, f"{name}_ns")) for name in _COLUMNS)
        lines.append(
            f"{row.measure.replace('_', ' '):16}{row.side:8}{row.count:>10,}" + "".join(f"{v:>10}" for v in values)
        )
    lines += [
        f"left out: {format_count(count, *_LEFT_OUT[name])}" for name, count in latency.left_out.items() if count
    ]
    return "\n".join([*lines, latency.sentence])


def groups_json(column: str, found: LatencyGroups) -> dict[str, Any]:
    """Return plain values: the column, a list of groups with `value`, and the others or None."""
    groups = [
        {"value": value, "sessions": count, **latency_json(latency)}
        for value, (count, latency) in found.groups.items()
    ]
    others = found.others and {"sessions": found.others[0], **latency_json(found.others[1])}
    return {"by": column, "groups": groups, "others": others}


def groups_text(column: str, found: LatencyGroups) -> str:
    """Return the lines, without a line feed at the end."""
    named = [(f"{column} {value if value != '' else '(none)'}", group) for value, group in found.groups.items()]
    if found.others:
        named.append((f"other values of {column}", found.others))
    texts = [f"{name}: {format_count(count, 'session')}\n{latency_text(latency)}" for name, (count, latency) in named]
    return "\n\n".join(texts) or "no sessions"
