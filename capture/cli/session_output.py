"""Tables of sessions -> lines for a person, JSON lines, CSV, or a Parquet file."""

import csv
import json
import sys
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import click
import numpy as np

from capture.analysis.columns import COLUMNS, WORDS, flat
from capture.analysis.layout import SIDES, Table
from capture.analysis.reading import CaptureFile
from capture.analysis.statement import Completeness
from capture.analysis.words import CLOSES, Names, endpoints, handshake_sentences, protocol_word, states
from capture.errors import SinkError, SpecError
from capture.units import format_duration, format_size

Tables = Iterable[Table]

_LINE = "%6s  %-15s  %8s  %-6s  %-45s  %13s  %19s  %17s  %8s  %s"
_TITLES = ("#", "START", "DURATION", "PROTO", "CLIENT > SERVER", "PACKETS", "BYTES", "RTT", "REPEATED", "STATE")


def as_text(tables: Tables, capture: CaptureFile, truth: Completeness, names: bool) -> None:
    """A line each, both directions as client/server."""
    click.echo(_LINE % _TITLES)
    for table in tables:
        known: Names = capture.description.names if names else {}
        click.echo("\n".join(_LINE % line for line in zip(*_cells(table, known, truth), strict=True)))


def _cells(table: Table, names: Names, truth: Completeness) -> Iterator[list[Any]]:
    """The columns of the lines: a list each, with what every session has there."""
    client, server = table["client"], table["server"]
    yield table["session"].tolist()
    starts = zip((table["first_ns"] // 10**9).tolist(), (table["first_ns"] // 1000 % 10**6).tolist(), strict=True)
    yield [f"{_clock(seconds)}.{micros:06d}" for seconds, micros in starts]
    yield [format_duration(ns) for ns in (table["last_ns"] - table["first_ns"]).tolist()]
    yield [protocol_word(number) for number in table["protocol"].tolist()]
    yield _both([endpoints(table, side, names) for side in SIDES], " > ")
    yield _both([client["packets"].tolist(), server["packets"].tolist()])
    yield _both([[format_size(size) for size in side["bytes"].tolist()] for side in (client, server)])
    yield _both([_trips(client, table["client_ns"]), _trips(server, table["server_ns"])])
    yield _both([client["retransmitted"].tolist(), server["retransmitted"].tolist()])
    closes = [CLOSES[number] for number in table["close"].tolist()]
    said = zip(states(table), handshake_sentences(table, truth), closes, strict=True)
    yield [f"{state}; {what}; {close}" if what else f"{state}; {close}" for state, what, close in said]


def _both(sides: list[list[Any]], between: str = "/") -> list[str]:
    return [f"{client}{between}{server}" for client, server in zip(*sides, strict=True)]


@lru_cache(1024)
def _clock(seconds: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _trips(side: Table, handshake_ns: Any) -> list[str]:
    """The mean round trips from here to that side; those of the handshake where there are no others."""
    count = side["rtt_count"]
    means = np.where(count > 0, side["rtt_sum_ns"] / np.maximum(count, 1), handshake_ns)
    return [format_duration(mean) if mean >= 0 else "-" for mean in means.tolist()]


def _rows(tables: Tables, capture: CaptureFile, truth: Completeness) -> Iterator[dict[str, list[Any]]]:
    """Tables as columns, the verdict in words behind them."""
    for table in tables:
        columns = flat(table, capture.description.interfaces)
        columns["handshake_words"] = handshake_sentences(table, truth)
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
