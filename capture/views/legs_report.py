"""A comparison of points -> its legs, with delays and losses, as lines or as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from capture.analysis.legs.clocks import Offset
from capture.analysis.legs.comparison import Comparison
from capture.analysis.legs.leg import Leg
from capture.analysis.legs.observe import Point
from capture.analysis.packets.completeness import Completeness
from capture.units import format_duration

_QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99}
_NOT_MEASURED = {
    "doubtful": "cannot be told from others",
    "unplaced": "passed when nothing was known of the clocks",
    "early": "arrived before they left: the times of these two points contradict each other",
}
_NOT_JUDGED = {
    "resegmented": "were cut up or put together on the way (GSO, GRO)",
    "undecided": "began the leg when the capture at its end did not run",
    "not_captured": "came out of the leg, and the capture at its beginning does not have them",
}


def _label(point: Point, files: Sequence[str]) -> str:
    return point.name if len(files) == 1 else f"{Path(files[point.file]).name}/{point.name}"


def legs_lines(
    found: Comparison, files: Sequence[str], truths: Mapping[str, Completeness], shown: int | None
) -> list[str]:
    """Return the lines, with the first `shown` lost packets of each leg, or all."""
    lines = []
    for leg in found.legs:
        way = f"{_label(leg.source, files)} > {_label(leg.target, files)}"
        lines.append(f"{way}: {leg.paired:,} packets, {_delay(leg)}")
        if leg.lost:
            numbers = ", ".join(map(str, leg.lost[:shown]))
            more = f" and {len(leg.lost) - shown:,} more" if shown is not None and len(leg.lost) > shown else ""
            lines.append(
                f"  LOST {len(leg.lost):,} ({leg.share_lost:.2%}): packets {numbers}{more} of "
                f"{_label(leg.source, files)}"
            )
            truth = truths[files[leg.target.file]]
            if not truth.complete:
                lines.append(f"  but of {files[leg.target.file]}: {truth}")
        for name, what in (_NOT_MEASURED | _NOT_JUDGED).items():
            if count := getattr(leg, name):
                lines.append(f"  {count:,} {what}")
    if not found.legs:
        lines.append("no packet was seen at two points")
    lines += [
        f"{one.packets:,} packets at {_label(one.point, files)} cannot be judged: no other point saw their sessions"
        for one in found.alone
    ]
    if found.left_out:
        lines.append(
            f"{found.left_out:,} packets were left out: no IP, cut in their headers, or to a group (multicast)"
        )
    return lines


def _delay(leg: Leg) -> str:
    """In words, with the uncertainty that the clocks bring."""
    values = _delays(leg)
    if values is None:
        return "no delay is known"
    text = ", ".join(f"{name} {format_duration(value)}" for name, value in values.items())
    if leg.clock is None:
        return text
    return f"{text}, each ± {format_duration(leg.clock.uncertainty_ns)} (its clock is {_clock(leg.clock)})"


def _clock(clock: Offset) -> str:
    ahead = f"{format_duration(abs(clock.offset_ns))} {'behind' if clock.offset_ns < 0 else 'ahead'}"
    if not clock.drift_ppm:
        return ahead
    return f"{ahead} at first and {'loses' if clock.drift_ppm < 0 else 'gains'} {abs(clock.drift_ppm):.3g} ppm"


def _delays(leg: Leg) -> dict[str, float] | None:
    if not leg.delays.counts.any():
        return None
    quantiles = {name: leg.delays.quantile(share) for name, share in _QUANTILES.items()}
    return {"min": leg.delays.least, **quantiles, "max": leg.delays.most}


def legs_json(found: Comparison, files: Sequence[str], truths: Mapping[str, Completeness]) -> dict[str, Any]:
    """Return plain values, with all lost packets."""

    def place(point: Point) -> dict[str, str]:
        return {"file": files[point.file], "interface": point.name}

    return {
        "legs": [
            {
                "source": place(leg.source),
                "target": place(leg.target),
                "paired": leg.paired,
                "measured": int(leg.delays.counts.sum()),
                "delay_ns": _delays(leg),
                "clock": asdict(leg.clock) if leg.clock else None,
                "lost": len(leg.lost),
                "lost_packets": leg.lost,
                **{name: getattr(leg, name) for name in (*_NOT_MEASURED, *_NOT_JUDGED)},
            }
            for leg in found.legs
        ],
        "alone": [place(one.point) | {"packets": one.packets} for one in found.alone],
        "left_out": found.left_out,
        "completeness": {file: str(truth) for file, truth in truths.items()},
    }
