"""Tables of sessions -> lines for a person, JSON lines, CSV, or a Parquet file."""

import csv
import json
import sys
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import click

from capture.analysis.columns import COLUMNS, WORDS, flat
from capture.analysis.layout import Table, records
from capture.analysis.reading import CaptureFile
from capture.analysis.statement import Completeness
from capture.analysis.words import CLOSES, Names, endpoint, handshake_sentence, protocol_word, state
from capture.errors import SinkError, SpecError
from capture.units import format_duration, format_size

Tables = Iterable[Table]

HEADING = (
    f"{'#':>6}  {'START':15}  {'DURATION':>8}  {'PROTO':6}  {'CLIENT > SERVER':45}  {'PACKETS':>13}  {'BYTES':>19}  "
    f"{'RTT':>17}  {'REPEATED':>8}  STATE"
)


def as_text(tables: Tables, capture: CaptureFile, truth: Completeness, names: bool) -> None:
    """A line each, both directions as client/server."""
    click.echo(HEADING)
    for table in tables:
        known: Names = capture.description.names if names else {}
        click.echo("\n".join(_line(session, known, truth) for session in records(table)))


def _line(session: Any, names: Names, truth: Completeness) -> str:
    client, server = session.client, session.server
    clock = _clock(session.first_ns // 10**9)
    ends = f"{endpoint(session, 'client', names)} > {endpoint(session, 'server', names)}"
    packets, repeated = f"{client.packets}/{server.packets}", f"{client.retransmitted}/{server.retransmitted}"
    sizes = f"{format_size(client.bytes)}/{format_size(server.bytes)}"
    trips = f"{_trip(client, session.client_ns)}/{_trip(server, session.server_ns)}"
    what = [state(session), handshake_sentence(session, truth), CLOSES[session.close]]
    start = f"{session.session:>6}  {clock}.{session.first_ns // 1000 % 10**6:06d}"
    lasted = format_duration(session.last_ns - session.first_ns)
    return (
        f"{start}  {lasted:>8}  {protocol_word(session.protocol):6}  {ends:45}  {packets:>13}  {sizes:>19}  "
        f"{trips:>17}  {repeated:>8}  {'; '.join(part for part in what if part)}"
    )


@lru_cache(1024)
def _clock(seconds: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _trip(side: Any, handshake_ns: int) -> str:
    """The mean round trip from here to that side; that of the handshake where there is no other."""
    if side.rtt_count:
        return format_duration(side.rtt_sum_ns / side.rtt_count)
    return format_duration(handshake_ns) if handshake_ns >= 0 else "-"


def _rows(tables: Tables, capture: CaptureFile, truth: Completeness) -> Iterator[dict[str, list[Any]]]:
    """Tables as columns, the verdict in words behind them."""
    for table in tables:
        columns = flat(table, capture.description.interfaces)
        columns["handshake_words"] = [handshake_sentence(session, truth) for session in records(table)]
        yield columns


def as_json_lines(tables: Tables, capture: CaptureFile, truth: Completeness) -> None:
    """An object a line."""
    for columns in _rows(tables, capture, truth):
        rows = zip(*columns.values(), strict=True)
        click.echo("\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in rows))


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
