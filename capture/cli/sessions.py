"""`bicap sessions FILE`: a capture file -> one row per conversation, as text, JSON lines, CSV or Parquet."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import click

from capture.cli.capture_file import across_interfaces, ended_sessions, inner
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError, SpecError

if TYPE_CHECKING:
    from capture.analysis.packets.reading import CaptureFile
    from capture.arrays.aliases import Table


@click.command(cls=GroupedCommand, short_help="Show the conversations of a capture file.")
@click.argument("file")
@option(
    "Which",
    "--filter",
    "filters",
    multiple=True,
    metavar="CONDITION",
    help="Only sessions for which this holds, like duration>1s, bytes>=1MiB, handshake=refused, close!=fin, "
    "address=10.0.0.0/8, port=443, client_retransmitted>0. May be repeated: all must hold.",
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
@option("Output", "--csv", "as_csv", is_flag=True, help="Print CSV, with all columns.")
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
    as_csv: bool,
    parquet: str | None,
) -> None:
    """Show the conversations of a capture file, one a line.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input. Of a damaged file all is shown that could be
    read, and the exit code is 5. docs/analysis.md says what the columns and the words mean.
    """
    if as_json + as_csv + (parquet is not None) > 1:
        raise SpecError("--json, --csv and --parquet are one output each; give one of them")
    from capture.analysis.packets.completeness import completeness
    from capture.analysis.packets.reading import CaptureFile
    from capture.analysis.query.conditions import Filter
    from capture.analysis.query.sorting import sort_key
    from capture.views import session_lines as output

    conditions = [Filter(text) for text in filters]
    order = None if sort == "none" else sort_key(sort)
    truth = completeness(file)
    with CaptureFile(file, inner) as capture:
        damage: list[FormatError] = []
        tables = _limited(_ordered(_chosen(capture, conditions, across_interfaces, damage), order), count)
        tables = chain(list(islice(tables, 1)), tables)  # a file that is none is told before a heading is written
        if as_json:
            output.as_json_lines(tables, capture, truth)
        elif as_csv:
            output.as_csv(tables, capture, truth)
        elif parquet is not None:
            output.as_parquet(tables, capture, truth, parquet)
        else:
            output.as_text(tables, capture, truth, names=not numeric)
        if damage:
            raise damage[0]


def _chosen(
    capture: "CaptureFile", conditions: list[Any], across_interfaces: bool, damage: list[FormatError]
) -> Iterator["Table"]:
    """Sessions of the file that meet the conditions, as they end; damage ends the file."""
    from capture.arrays.rows import picked

    for table, _ in ended_sessions(capture, across_interfaces, damage):
        for condition in conditions:
            table = picked(table, condition(table))
        if len(table):
            yield table


def _ordered(tables: Iterable["Table"], order: tuple[str, bool] | None) -> Iterator["Table"]:
    if order is None:
        yield from tables
        return
    from capture.analysis.query.sorting import Spool

    with Spool(*order) as spool:
        for table in tables:
            spool.add(table)
        yield from spool.in_order()


def _limited(tables: Iterable["Table"], count: int | None) -> Iterator["Table"]:
    left = count
    for table in tables:
        yield table if left is None else table[:left]
        if left is not None:
            left -= len(table)
            if left <= 0:
                return
