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
from capture.units import format_count, format_duration

_QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99}
_NOT_MEASURED = {
    "doubtful": ("looks the same as another packet", "look the same as other packets"),
    "unplaced": ("passed when the offset of the clocks is unknown",) * 2,
    "early": (
        "arrived before it left: the times of these two points contradict each other",
        "arrived before they left: the times of these two points contradict each other",
    ),
}
_NOT_JUDGED = {
    "resegmented": ("was split or merged on the way (GSO, GRO)", "were split or merged on the way (GSO, GRO)"),
    "undecided": ("entered the leg while the capture at its end was not running",) * 2,
    "not_captured": (
        "left the leg, but the capture at its beginning does not have it",
        "left the leg, but the capture at its beginning does not have them",
    ),
}
"""Counts of a Leg in words: singular and plural."""


def _label(point: Point, files: Sequence[str]) -> str:
    return point.name if len(files) == 1 else f"{Path(files[point.file]).name}/{point.name}"


def legs_lines(
    comparison: Comparison, files: Sequence[str], completeness: Mapping[str, Completeness], shown: int | None
) -> list[str]:
    """Return lines with the first `shown` lost packets of each leg, or with all if it is None."""
    lines = []
    for leg in comparison.legs:
        way = f"{_label(leg.source, files)} > {_label(leg.target, files)}"
        lines.append(f"{way}: {format_count(leg.paired, 'packet')}, {_delay(leg)}")
        if leg.lost:
            numbers = ", ".join(map(str, leg.lost[:shown]))
            more = f" and {len(leg.lost) - shown:,} more" if shown is not None and len(leg.lost) > shown else ""
            lines.append(
                f"  LOST {len(leg.lost):,} ({leg.share_lost:.2%}): packets {numbers}{more} of "
                f"{_label(leg.source, files)}"
            )
            if comparison.has_reasons:
                lines.append(f"  lost before {_label(leg.target, files)}: {_reasons(leg)}")
            target_file = files[leg.target.file]
            if not completeness[target_file].complete:
                lines.append(f"  some may be missing from {target_file} only: {completeness[target_file]}")
        for name, words in (_NOT_MEASURED | _NOT_JUDGED).items():
            if count := getattr(leg, name):
                lines.append(f"  {format_count(count, *words)}")
    if not comparison.legs:
        lines.append("no packet was seen at two points")
    lines += [
        f"{format_count(alone.packets, 'packet')} at {_label(alone.point, files)} cannot be judged: no other point "
        f"saw {'its session' if alone.packets == 1 else 'their sessions'}"
        for alone in comparison.alone
    ]
    lines += [
        f"{format_count(alone.packets, 'packet')} at {_label(alone.point, files)} cannot be judged: no other point "
        "saw sessions with the same server that were answered, so its address is that of several hosts"
        for alone in comparison.elsewhere
    ]
    if comparison.left_out:
        lines.append(
            f"{format_count(comparison.left_out, 'packet was', 'packets were')} left out: not IP, headers cut off, "
            "or multicast"
        )
    return lines


def _reasons(leg: Leg) -> str:
    """Return the kernel's reasons for the losses of a leg in words; what no event proves is unknown."""
    known = [
        f"{count:,} {reason.reason} ({reason.kind}){f' at {reason.place}' if reason.place else ''}"
        for reason, count in leg.reasons.items()
    ]
    unknown = len(leg.lost) - sum(leg.reasons.values())
    return ", ".join([*known, *([f"{unknown:,} unknown"] if unknown else [])])


def _delay(leg: Leg) -> str:
    """Return the delays in words, with the uncertainty of the clocks."""
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


def legs_json(
    comparison: Comparison, files: Sequence[str], completeness: Mapping[str, Completeness]
) -> dict[str, Any]:
    """Return plain values with all lost packets."""

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
                "lost_by": [
                    {"reason": one.reason, "class": one.kind, "place": one.place, "packets": count}
                    for one, count in leg.reasons.items()
                ],
                **{name: getattr(leg, name) for name in (*_NOT_MEASURED, *_NOT_JUDGED)},
            }
            for leg in comparison.legs
        ],
        "alone": [place(alone.point) | {"packets": alone.packets} for alone in comparison.alone],
        "elsewhere": [place(alone.point) | {"packets": alone.packets} for alone in comparison.elsewhere],
        "left_out": comparison.left_out,
        "completeness": {file: str(known) for file, known in completeness.items()},
    }
