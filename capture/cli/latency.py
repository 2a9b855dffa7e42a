"""`bicap latency FILE`: a capture file -> how long things took, on which side, and which side the wait is on."""

import json
from typing import TYPE_CHECKING

import click

from capture.cli.capture_file import across_interfaces, ended_sessions, inner
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError
from capture.units import format_duration

if TYPE_CHECKING:
    from capture.analysis.latency.waits import Latency

_COLUMNS = ("min", "median", "p90", "p99", "max")
_LEFT_OUT = {
    "ambiguous": "acknowledgments that may be for either of two copies",
    "unsampled": "segments not followed, because too many were on their way",
    "handshakes_ambiguous": "halves of handshakes with a repeated SYN or SYN-ACK",
    "questions_repeated": "DNS queries and echo requests asked again",
    "questions_unanswered": "DNS queries and echo requests without an answer",
}


@click.command(cls=GroupedCommand, short_help="Show how long things took in a capture file, and on which side.")
@click.argument("file")
@across_interfaces
@inner
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object.")
def latency(file: str, across_interfaces: bool, inner: bool, as_json: bool) -> None:
    """Show how long things took in a capture file, and on which side.

    Everything is measured from where packets were captured: "server" is the way to the server and back, and its own
    time; "client" likewise. FILE is pcap or pcapng, plain, gzip or zstd; - is standard input. docs/analysis.md
    defines the measures.
    """
    from capture.analysis.latency.waits import Latency
    from capture.analysis.packets.reading import CaptureFile

    found = Latency()
    damage: list[FormatError] = []
    with CaptureFile(file, inner) as capture:
        for sessions, samples in ended_sessions(capture, across_interfaces, damage):
            found.add(sessions, samples)
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else report(found))
    if damage:
        raise damage[0]


def report(found: "Latency") -> str:
    """A line per measure and side, what was left out, and the sentence."""
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
