"""`bicap latency FILE`: a capture file -> latencies by measure and side, and the side on which clients waited."""

import json

import click

from capture.cli.capture_file import across_interfaces, inner, show_notes, with_progress
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError


@click.command(cls=GroupedCommand, short_help="Show how long things took in a capture file, and on which side.")
@click.argument("file")
@across_interfaces
@inner
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object.")
def latency(file: str, across_interfaces: bool, inner: bool, as_json: bool) -> None:
    """Show how long things took in a capture file, and on which side.

    Everything is measured from the point where packets were captured: "server" is the round trip to the server and
    its own time; "client" likewise. FILE is pcap or pcapng, plain, gzip or zstd; - is standard input.
    docs/analysis.md defines the measures.
    """
    from capture.analysis.latency.waits import Latency
    from capture.analysis.packets.reading import CaptureFile
    from capture.views.latency_report import latency_json, latency_text
    from capture.views.queries import ended_sessions

    latencies = Latency()
    damage: list[FormatError] = []
    notes: list[str] = []
    with CaptureFile(file, inner) as capture:
        for sessions, samples in ended_sessions(capture, with_progress(capture), across_interfaces, damage, notes):
            latencies.add(sessions, samples)
    click.echo(json.dumps(latency_json(latencies), indent=2) if as_json else latency_text(latencies))
    show_notes(notes)
    if damage:
        raise damage[0]
