"""`bicap latency FILE...`: capture files -> latencies by measure and side, and who was waited for."""

import json

import click

from capture.cli.capture_file import (
    across_interfaces,
    conclude,
    files,
    inner,
    matching_sessions,
    sessions_with_packets,
    with_progress,
)
from capture.cli.groups import GroupedCommand, option
from capture.cli.table_output import TableOutput, table_options
from capture.errors import FormatError


@click.command(cls=GroupedCommand, short_help="Show how long things took in a capture file, and on which side.")
@files
@sessions_with_packets
@across_interfaces
@inner
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object.")
@table_options
def latency(
    files: tuple[str, ...],
    expression: str | None,
    across_interfaces: bool,
    inner: bool,
    as_json: bool,
    parquet: str | None,
    arrow: str | None,
    node: str | None,
) -> None:
    """Show how long things took in a capture file, and on which side.

    Everything is measured from the point where packets were captured: "server" is the round trip to the server and
    its own time; "client" likewise. docs/analysis.md defines the measures.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input, a folder stands for its capture files, and a
    pattern in quotes for the files that match. Several files are read as one, in order of time.
    """
    from capture.analysis.latency.waits import Latency
    from capture.analysis.packets.merged import open_captures
    from capture.views.latency_report import latency_json, latency_text
    from capture.views.queries import ended_sessions
    from capture.views.tunnel_share import TunnelShare

    output = TableOutput(parquet, arrow, node)
    as_table = output.check(json=as_json)
    latencies = Latency()
    damage: list[FormatError] = []
    notes: list[str] = []
    only = matching_sessions(files, expression, across_interfaces, inner)
    tunnels = TunnelShare()
    with open_captures(files, inner) as capture:
        batches = with_progress(capture)
        if as_table:
            origin = output.origin(files, capture)
            batches = origin.watch(batches)
        ended = tunnels.beside(ended_sessions(capture, batches, across_interfaces, damage, only, notes=notes))
        if as_table:
            from capture.lake.lake_latency import LATENCY, joined

            output.write(LATENCY, joined(ended, origin))
        else:
            for sessions, samples in ended:
                latencies.add(sessions, samples)
    if not as_table:
        click.echo(json.dumps(latency_json(latencies), indent=2) if as_json else latency_text(latencies))
    conclude(tunnels, inner, notes, damage)
