"""Tables of sessions -> lines for a person, JSON lines, CSV, or a Parquet file."""

import csv
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click
import numpy as np

from capture.analysis.packets.completeness import Completeness
from capture.analysis.packets.reading import CaptureFile
from capture.analysis.query.columns import COLUMNS, WORDS, flat
from capture.analysis.query.names import CLOSES, endpoints, states
from capture.analysis.sessions.session_table import Handshake
from capture.arrays.aliases import Table
from capture.arrays.cells import Cells, aligned, beside, durations, each, lines, numbers, sizes, text, where, words
from capture.cli.capture_file import json_lines
from capture.errors import SinkError, SpecError
from capture.views.handshakes import handshake_sentences
from capture.views.moments import clock_text
from capture.wire.addresses import Names
from capture.wire.protocols import protocol_name

Tables = Iterable[Table]

_COLUMNS = {
    "#": 6,
    "START": -15,
    "DURATION": 8,
    "PROTO": -6,
    "CLIENT > SERVER": -45,
    "PACKETS": 13,
    "BYTES": 19,
    "RTT": 17,
    "REPEATED": 8,
    "LOST": 7,
    "STATE": 0,
}
"""Titles, and widths as in a format: those below 0 are filled up at the end."""


def as_text(tables: Tables, capture: CaptureFile, truth: Completeness, names: bool) -> None:
    """A line each, both directions as client/server."""
    click.echo(_in_columns(words([title]) for title in _COLUMNS), nl=False)
    for table in tables:
        click.echo(session_lines(table, capture.description.names if names else {}, truth), nl=False)


def session_lines(table: Table, names: Names, truth: Completeness) -> str:
    """The lines of a table's sessions, without the heading."""
    return _in_columns(_cells(table, names, truth))


def _in_columns(columns: Iterable[Cells]) -> str:
    first, *others = (aligned(cells, width) for cells, width in zip(columns, _COLUMNS.values(), strict=True))
    return text(beside(first, *(part for cells in others for part in ("  ", cells)), "\n"))


def _cells(table: Table, names: Names, truth: Completeness) -> Iterator[Cells]:
    """The columns of the lines."""
    client, server = table["client"], table["server"]
    yield numbers(table["session"])
    yield beside(each(clock_text, table["first_ns"] // 10**9), ".", numbers(table["first_ns"] // 1000 % 10**6, 6))
    yield durations(table["last_ns"] - table["first_ns"])
    yield each(protocol_name, table["protocol"])
    yield beside(endpoints(table, "client", names), " > ", endpoints(table, "server", names))
    yield _each_way(table, "packets")
    yield beside(sizes(client["bytes"]), "/", sizes(server["bytes"]))
    yield beside(_trips(table, "client"), "/", _trips(table, "server"))
    yield _each_way(table, "retransmitted")
    yield _each_way(table, "lost_before")
    handshake = handshake_sentences(table, truth)
    between = where(table["handshake"] != Handshake.NONE, "; ")
    yield beside(states(table), between, handshake, "; ", each(CLOSES.__getitem__, table["close"]))


def _each_way(table: Table, name: str) -> Cells:
    """A number of the client, and of the server."""
    return beside(numbers(table["client"][name]), "/", numbers(table["server"][name]))


def _trips(table: Table, side: str) -> Cells:
    """The mean round trips from here to that side; those of the handshake where there are no others."""
    mean, handshake = (COLUMNS[f"{side}_{name}_ns"](table) for name in ("rtt_mean", "handshake"))
    found = np.where(mean >= 0, mean, handshake)
    return beside(where(found >= 0, durations(np.maximum(found, 0))), where(found < 0, "-"))


def _rows(tables: Tables, capture: CaptureFile, truth: Completeness) -> Iterator[dict[str, list[Any]]]:
    """Tables as columns, the verdict in words behind them."""
    for table in tables:
        columns = flat(table, capture.description.interfaces)
        columns["handshake_words"] = lines(handshake_sentences(table, truth))
        yield columns


def as_json_lines(tables: Tables, capture: CaptureFile, truth: Completeness) -> None:
    """An object a line."""
    for columns in _rows(tables, capture, truth):
        click.echo(json_lines(columns))


def as_csv(tables: Tables, capture: CaptureFile, truth: Completeness) -> None:
    """A heading, then a line each."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    heading = False
    for columns in _rows(tables, capture, truth):
        if not heading:
            writer.writerow(columns)
            heading = True
        writer.writerows(zip(*columns.values(), strict=True))


def as_parquet(tables: Tables, capture: CaptureFile, truth: Completeness, target: str) -> None:
    """A row group per table. Raises SpecError without pyarrow, SinkError if the file cannot be written."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SpecError("--parquet needs pyarrow; pip install 'bicap[parquet]', or use --csv") from None
    words = {*WORDS, "interface", "handshake_words"}
    names = (*COLUMNS, "handshake_words")
    schema = pyarrow.schema([(name, pyarrow.string() if name in words else pyarrow.int64()) for name in names])
    try:
        with pyarrow.parquet.ParquetWriter(target, schema) as writer:
            for columns in _rows(tables, capture, truth):
                writer.write_table(pyarrow.table(columns, schema))
    except OSError as error:
        raise SinkError(f"{target} cannot be written: {error.strerror or error}") from None
