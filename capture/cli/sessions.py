"""`bicap sessions FILE`: a capture file -> one row per conversation, as text, JSON lines, CSV or Parquet."""

from itertools import chain, islice

import click

from capture.cli.capture_file import across_interfaces, inner, show_notes, with_progress
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError, SpecError


@click.command(cls=GroupedCommand, short_help="Show the conversations of a capture file.")
@click.argument("file")
@option(
    "Which",
    "--filter",
    "filters",
    multiple=True,
    metavar="CONDITION",
    help="Only sessions for which this is true, like duration>1s, bytes>=1MiB, handshake=refused, close!=fin, "
    "address=10.0.0.0/8, port=443, client_retransmitted>0. May be repeated: all must be true.",
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
@across_interfaces
@inner
@option("Output", "-n", "numeric", is_flag=True, help="Show addresses, not the names that the file has for them.")
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object a line, with all columns.")
@option("Output", "--csv", "csv", is_flag=True, help="Print CSV, with all columns.")
@option("Output", "--parquet", metavar="TARGET", help="Write a Parquet file with all columns; needs pyarrow.")
def sessions(
    file: str,
    filters: tuple[str, ...],
    sort: str,
    count: int | None,
    across_interfaces: bool,
    inner: bool,
    numeric: bool,
    as_json: bool,
    csv: bool,
    parquet: str | None,
) -> None:
    """Show the conversations of a capture file, one a line.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input. A damaged file is shown as far as it can be
    read, and the exit code is 5. docs/analysis.md explains the columns and their words.
    """
    if as_json + csv + (parquet is not None) > 1:
        raise SpecError("--json, --csv and --parquet do not combine; give one of them")
    from capture.analysis.packets.completeness import completeness
    from capture.analysis.packets.reading import CaptureFile
    from capture.views.queries import SessionQuery, ended_sessions

    query = SessionQuery.parse(filters, sort, count)
    known = completeness(file)
    with CaptureFile(file, inner) as capture:
        damage: list[FormatError] = []
        notes: list[str] = []
        tables = query.of(ended_sessions(capture, with_progress(capture), across_interfaces, damage, notes))
        tables = chain(
            list(islice(tables, 1)), tables
        )  # so a file that is no capture is refused before a heading is written
        described = capture.description
        if as_json or csv or parquet is not None:
            from capture.views.session_rows import as_csv, as_json_lines, session_columns, write_parquet

            rows = (session_columns(table, described.interfaces, known) for table in tables)
            if parquet is not None:
                write_parquet(rows, parquet)
            else:
                for text in as_json_lines(rows) if as_json else as_csv(rows):
                    click.echo(text, nl=False)
        else:
            from capture.views.session_lines import heading, session_lines

            click.echo(heading(), nl=False)
            for table in tables:
                click.echo(session_lines(table, {} if numeric else described.names, known), nl=False)
        show_notes(notes)
        if damage:
            raise damage[0]
