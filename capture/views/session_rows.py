"""Tables of sessions -> all columns as JSON lines or CSV; the last one is the verdict in words."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from capture.analysis.packets.completeness import Completeness
from capture.analysis.query.columns import COLUMNS, flat
from capture.arrays.aliases import Table
from capture.arrays.cells import lines
from capture.errors import SpecError
from capture.pcapng.describe import InterfaceDescription
from capture.views.handshakes import handshake_sentences
from capture.views.json_lines import json_lines

Columns = dict[str, list[Any]]
_VERDICT = "handshake_words"
"""The column of sentences, which is not among COLUMNS."""


def check_names(names: Sequence[str], option: str = "--columns") -> None:
    """Raise SpecError for a name that is not a column."""
    for name in names:
        if name not in COLUMNS and name != _VERDICT:
            known = ", ".join((*COLUMNS, _VERDICT))
            raise SpecError(f"{option}: there is no column {name!r} in tables; columns are {known}")


def session_columns(
    table: Table,
    interfaces: Sequence[InterfaceDescription],
    completeness: Completeness,
    names: Sequence[str] | None = None,
) -> Columns:
    """Return columns of a table's sessions by name, as plain lists: those with these names, or all."""
    wanted = (*COLUMNS, _VERDICT) if names is None else names
    columns = flat(table, interfaces, [name for name in wanted if name != _VERDICT])
    if _VERDICT in wanted:
        columns[_VERDICT] = lines(handshake_sentences(table, completeness))
    return {name: columns[name] for name in wanted}


def as_json_lines(tables: Iterable[Columns]) -> Iterator[str]:
    """Return a text for each table, with one JSON object per line."""
    for columns in tables:
        yield json_lines(columns) + "\n"


def as_csv(tables: Iterable[Columns]) -> Iterator[str]:
    """Return a text for each table, with one line per session; the first begins with a heading."""
    heading = True
    for columns in tables:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if heading:
            writer.writerow(columns)
        heading = False
        writer.writerows(zip(*columns.values(), strict=True))
        yield text.getvalue()
