"""Latencies -> a line for each measure and side, what was left out, and the sentence; or JSON."""

from dataclasses import asdict
from typing import Any

from capture.analysis.latency.waits import Latency
from capture.units import format_duration

_COLUMNS = ("min", "median", "p90", "p99", "max")
_LEFT_OUT = {
    "ambiguous": "acknowledgments that may be for either of two copies",
    "unsampled": "segments not followed, because too many were on their way",
    "handshakes_ambiguous": "halves of handshakes with a repeated SYN or SYN-ACK",
    "questions_repeated": "DNS queries and echo requests asked again",
    "questions_unanswered": "DNS queries and echo requests without an answer",
}


def latency_json(found: Latency) -> dict[str, Any]:
    """Return plain values."""
    return {
        "measures": [asdict(one) for one in found.distributions()],
        "left_out": found.left_out,
        "wait_ns": found.wait_ns,
        "sentence": found.sentence,
    }


def latency_text(found: Latency) -> str:
    """Return the lines, without a line feed at the end."""
    lines = [f"{'MEASURE':16}{'SIDE':8}{'SAMPLES':>10}" + "".join(f"{name.upper():>10}" for name in _COLUMNS)]
    for one in found.distributions():
        values = (format_duration(getattr(one, f"{name}_ns")) for name in _COLUMNS)
        lines.append(
            f"{one.measure.replace('_', ' '):16}{one.side:8}{one.count:>10,}" + "".join(f"{v:>10}" for v in values)
        )
    lines += [
        f"left out: {found.left_out[name]:,} {what}" for name, what in _LEFT_OUT.items() if found.left_out[name]
    ]
    return "\n".join([*lines, found.sentence])
