"""`bicap latency FILE...`: capture files -> latencies by measure and side, and who was waited for."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
from capture.errors import FormatError, SpecError

if TYPE_CHECKING:
    from capture.analysis.latency.groups import LatencyGroups
    from capture.arrays.aliases import Mask

_GROUPS = 10


@click.command(cls=GroupedCommand, short_help="Show how long things took in a capture file, and on which side.")
@files
@option(
    "Which",
    "--by",
    metavar="COLUMN",
    help="Show latencies for each value of a column of bicap sessions --json, like server, server_port, server_name, "
    "http_host or dns_name, the most frequent values first. The files are read twice.",
)
@option(
    "Which",
    "-c",
    "--count",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="With --by: show N values at most, and the others together (10).",
)
@sessions_with_packets
@across_interfaces
@inner
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object.")
@table_options
def latency(
    files: tuple[str, ...],
    by: str | None,
    count: int | None,
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

    --by server_name shows whose answers are slow.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input, a folder stands for its capture files, and a
    pattern in quotes for the files that match. Several files are read as one, in order of time.
    """
    if count is not None and by is None:
        raise SpecError("--count is the number of values of a column; name the column with --by")
    from capture.analysis.latency.waits import Latency
    from capture.analysis.packets.merged import open_captures
    from capture.views.latency_report import groups_json, groups_text, latency_json, latency_text
    from capture.views.queries import ended_sessions
    from capture.views.tunnel_share import TunnelShare

    output = TableOutput(parquet, arrow, node)
    as_table = output.check(json=as_json)
    if as_table and by is not None:
        raise SpecError(
            "--by groups what is shown; tables have a row for each sample, with the columns of its session"
        )
    only = matching_sessions(files, expression, across_interfaces, inner)
    latencies = Latency() if by is None else _groups(files, by, count or _GROUPS, across_interfaces, inner, only)
    damage: list[FormatError] = []
    notes: list[str] = []
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
    if not isinstance(latencies, Latency):
        column = by or ""
        click.echo(
            json.dumps(groups_json(column, latencies), indent=2) if as_json else groups_text(column, latencies)
        )
    elif not as_table:
        click.echo(json.dumps(latency_json(latencies), indent=2) if as_json else latency_text(latencies))
    conclude(tunnels, inner, notes, damage)


def _groups(
    words: Sequence[str], by: str, most: int, across_interfaces: bool, inner: bool, only: "Mask | None"
) -> "LatencyGroups":
    """Return groups that have seen all sessions of the files. Raises SpecError."""
    from capture.analysis.latency.groups import LatencyGroups
    from capture.analysis.packets.merged import open_captures
    from capture.analysis.query.columns import flat
    from capture.views.queries import applications_for, ended_sessions
    from capture.views.session_rows import check_names

    check_names([by], "--by")
    if "-" in words:
        raise SpecError("--by reads the files twice; give a file instead of standard input")
    groups = LatencyGroups(most)
    with open_captures(words, inner) as capture:
        batches = with_progress(capture)
        ended = ended_sessions(capture, batches, across_interfaces, [], only, applications_for([by]))
        for sessions, _ in ended:
            groups.see(sessions, flat(sessions, capture.description.interfaces, [by])[by])
    return groups
