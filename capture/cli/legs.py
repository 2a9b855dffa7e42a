"""`bicap legs FILE...`: captures of the same packets at several points -> delays and losses between them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from capture.cli.capture_file import with_progress
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError, SpecError
from capture.units import format_duration

if TYPE_CHECKING:
    from capture.analysis.legs.clocks import Offset
    from capture.analysis.legs.comparison import Comparison
    from capture.analysis.legs.leg import Leg
    from capture.analysis.legs.observe import Point
    from capture.analysis.packets.completeness import Completeness

_QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99}
_SHOWN = 10
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


@click.command(cls=GroupedCommand, short_help="Compare points that saw the same packets: delay and loss between.")
@click.argument("files", nargs=-1, required=True)
@option(
    "Which",
    "--one-clock",
    is_flag=True,
    help="All files were captured on one machine: their times can be compared as they are.",
)
@option("Output", "--lost", is_flag=True, help="List every lost packet by its number, not only the first.")
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object, with all lost packets.")
def legs(files: tuple[str, ...], one_clock: bool, lost: bool, as_json: bool) -> None:
    """Compare points that saw the same packets: how long they took from one to the next, and where they were lost.

    A point is an interface of a file: both ends of a capture with --point both, or files of several nodes. Packets
    are told by what does not change on the way, through DNAT, SNAT, VXLAN, Geneve, GRE and IP in IP. Points of one
    file have one clock, and their delays are exact. How far the clocks of two files are apart is estimated from
    packets that went both ways, and each delay between them has that uncertainty. FILE is pcap or pcapng, plain,
    gzip or zstd. docs/analysis.md says what is counted how.
    """
    from capture.analysis.legs.comparison import Comparison
    from capture.analysis.legs.observe import Observations
    from capture.analysis.packets.completeness import completeness
    from capture.analysis.packets.reading import CaptureFile

    damage: list[FormatError] = []
    with Observations() as observations:
        for file in files:
            with CaptureFile(file, inner=True) as capture:
                try:
                    observations.add(file, with_progress(capture), capture.description)
                except FormatError as error:
                    damage.append(error)
        if len(observations.points) < 2:
            if damage:
                raise damage[0]
            raise SpecError(
                f"{', '.join(files)} has packets of {len(observations.points)} interface, and none to compare it "
                "with; capture with --point both, or give the file of the other side too"
            )
        found = Comparison(observations, one_clock)
    truths = {file: completeness(file) for file in files}
    if as_json:
        click.echo(json.dumps(_plain(found, files, truths), indent=2))
    else:
        click.echo("\n".join(_lines(found, files, truths, None if lost else _SHOWN)))
    if damage:
        raise damage[0]


def _label(point: "Point", files: tuple[str, ...]) -> str:
    return point.name if len(files) == 1 else f"{Path(files[point.file]).name}/{point.name}"


def _lines(
    found: "Comparison", files: tuple[str, ...], truths: dict[str, "Completeness"], shown: int | None
) -> list[str]:
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


def _delay(leg: "Leg") -> str:
    """In words, with the uncertainty that the clocks bring."""
    values = _delays(leg)
    if values is None:
        return "no delay is known"
    text = ", ".join(f"{name} {format_duration(value)}" for name, value in values.items())
    if leg.clock is None:
        return text
    return f"{text}, each ± {format_duration(leg.clock.uncertainty_ns)} (its clock is {_clock(leg.clock)})"


def _clock(clock: "Offset") -> str:
    ahead = f"{format_duration(abs(clock.offset_ns))} {'behind' if clock.offset_ns < 0 else 'ahead'}"
    if not clock.drift_ppm:
        return ahead
    return f"{ahead} at first and {'loses' if clock.drift_ppm < 0 else 'gains'} {abs(clock.drift_ppm):.3g} ppm"


def _delays(leg: "Leg") -> dict[str, float] | None:
    if not leg.delays.counts.any():
        return None
    quantiles = {name: leg.delays.quantile(share) for name, share in _QUANTILES.items()}
    return {"min": leg.delays.least, **quantiles, "max": leg.delays.most}


def _plain(found: "Comparison", files: tuple[str, ...], truths: dict[str, "Completeness"]) -> dict[str, Any]:
    def place(point: "Point") -> dict[str, str]:
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
