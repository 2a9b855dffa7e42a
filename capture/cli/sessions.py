"""`bicap sessions FILE...`: capture files -> one row per conversation, as text, JSON lines, CSV, Parquet or Arrow."""

from itertools import chain, islice

import click

from capture.cli.capture_file import (
    across_interfaces,
    conclude,
    files,
    inner,
    matching_sessions,
    sessions_with_packets,
    terminal_width,
    time_form,
    with_progress,
)
from capture.cli.groups import GroupedCommand, option
from capture.cli.table_output import TableOutput, table_options
from capture.errors import FormatError


@click.command(cls=GroupedCommand, short_help="Show the conversations of a capture file.")
@files
@option(
    "Which",
    "--filter",
    "filters",
    multiple=True,
    metavar="CONDITION",
    help="Only sessions for which this is true, like duration>1s, bytes>=1MiB, handshake=refused, close!=fin, "
    "address=10.0.0.0/8, port=443, server_name=*.shop, http_5xx>0. May be repeated: all must be true.",
)
@option(
    "Which",
    "--sort",
    metavar="COLUMN",
    default="start",
    show_default=True,
    help="Order by a column of numbers; -COLUMN is the largest first. 'none' shows sessions as they end, while the "
    "file is read.",
)
@option("Which", "-c", "--count", type=click.IntRange(1), metavar="N", help="Show N sessions at most.")
@sessions_with_packets
@across_interfaces
@inner
@option(
    "Output",
    "--columns",
    metavar="NAMES",
    help="Columns to show, like session,ends,server_rtt_min_ns: those of the heading (session, start, duration, "
    "protocol, ends, packets, bytes, rtt, repeated, lost, state), or any of --json. By default as many as the "
    "terminal has room for, and all into a pipe or file.",
)
@time_form
@option("Output", "-n", "numeric", is_flag=True, help="Show addresses, not the names that the file has for them.")
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object a line, with all columns.")
@option("Output", "--csv", "csv", is_flag=True, help="Print CSV, with all columns.")
@table_options
def sessions(
    files: tuple[str, ...],
    filters: tuple[str, ...],
    sort: str,
    count: int | None,
    expression: str | None,
    across_interfaces: bool,
    inner: bool,
    columns: str | None,
    time_form: str,
    numeric: bool,
    as_json: bool,
    csv: bool,
    parquet: str | None,
    arrow: str | None,
    node: str | None,
) -> None:
    """Show the conversations of a capture file, one a line.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input, a folder stands for its capture files, and a
    pattern in quotes for the files that match. Several files are read as one, in order of time. A damaged file is
    shown as far as it can be read, and the exit code is 5. docs/analysis.md explains the columns and their words.
    """
    output = TableOutput(parquet, arrow, node)
    as_table = output.check(json=as_json, csv=csv)
    from capture.analysis.packets.capture_parts import completeness_of_all
    from capture.analysis.packets.merged import open_captures
    from capture.analysis.query.columns import COLUMNS
    from capture.views.moments import Clock, TimeForm
    from capture.views.queries import SessionQuery, applications_for, ended_sessions
    from capture.views.session_lines import LineContext, SessionLines, columns_named
    from capture.views.tunnel_share import TunnelShare

    query, clock = SessionQuery.parse(filters, sort, count), Clock(TimeForm(time_form))
    names = None if columns is None else columns.split(",")
    table_form = as_json or csv or as_table
    shown = None if names is None or table_form else columns_named(names)
    if names is not None and as_table:
        from capture.lake.lake_sessions import SESSIONS
        from capture.lake.writing import check_names as check_lake_names

        check_lake_names(SESSIONS, names)
    elif names is not None and table_form:
        from capture.views.session_rows import check_names

        check_names(names)
    needed = set(names) if names is not None else set(COLUMNS) if table_form else set()
    known = completeness_of_all(files)
    only = matching_sessions(files, expression, across_interfaces, inner)
    tunnels = TunnelShare()
    with open_captures(files, inner) as capture:
        damage: list[FormatError] = []
        notes: list[str] = []
        batches = clock.beside(with_progress(capture))
        if as_table:
            origin = output.origin(files, capture)
            batches = origin.watch(batches)
        ended = ended_sessions(
            capture, batches, across_interfaces, damage, only, applications_for(needed | query.columns), notes
        )
        tables = query.of(tunnels.beside(ended))
        tables = chain(
            list(islice(tables, 1)), tables
        )  # so a file that is no capture is refused before a heading is written
        described = capture.description
        if as_table:
            from capture.lake.common import TableRows
            from capture.lake.lake_sessions import SESSIONS

            output.write(SESSIONS, (TableRows(table, origin) for table in tables), names)
        elif table_form:
            from capture.views.session_rows import as_csv, as_json_lines, session_columns

            rows = (session_columns(table, described.interfaces, known, names) for table in tables)
            for text in as_json_lines(rows) if as_json else as_csv(rows):
                click.echo(text, nl=False)
        else:
            context = LineContext({} if numeric else described.names, described.interfaces, known, clock)
            lines = SessionLines(context, shown, terminal_width())
            click.echo(lines.heading(), nl=False)
            for table in tables:
                click.echo(lines.lines(table), nl=False)
        conclude(tunnels, inner, notes, damage)
