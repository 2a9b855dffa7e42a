"""Declared columns -> a table's Arrow schema, and the rows of its documentation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

INT64, INT32, BOOLEAN, TEXT, DATE = pa.int64(), pa.int32(), pa.bool_(), pa.string(), pa.date32()
TIME = pa.timestamp("us", "UTC")
"""Microseconds, because Spark refuses nanoseconds; a column of ns stands beside it."""
WORD = pa.dictionary(pa.int32(), pa.string())
"""A text of a few that are known. Files have it as a string with a dictionary."""
LABELS = pa.map_(pa.string(), pa.string())
WORDS = pa.list_(pa.string())

TABLE_KEY, VERSION_KEY = b"bicap.table", b"bicap.schema_version"
"""Keys in a file's metadata: the table's name, and the version of its schema."""
_NAMES = {
    INT64: "bigint",
    INT32: "int",
    BOOLEAN: "boolean",
    TEXT: "string",
    DATE: "date",
    TIME: "timestamp (µs, UTC)",
    WORD: "string, dictionary",
    LABELS: "map of string to string",
    WORDS: "list of string",
    pa.float64(): "double",
}


@dataclass(frozen=True, slots=True)
class LakeColumn:
    """A column: how it is stored, what it means, and the function that makes it from rows."""

    name: str
    type: Any
    unit: str
    """Unit of the numbers, like ns or bytes; "" for words and numbers without one."""
    help: str
    null: str
    """When it is NULL; "" for never."""
    make: Callable[[Any], Any]
    """Function of the rows that returns an Arrow array of `type`."""


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The physical schema of a table: the same in every file, folder and stream.

    `version` changes when a column changes its meaning or type, or is removed; a new column leaves it.
    """

    name: str
    version: int
    help: str
    sorted_by: str
    columns: tuple[LakeColumn, ...]
    partitions: tuple[str, ...] = ("date", "node")
    """Columns that folders are named after."""

    def chosen(self, names: Sequence[str] | None) -> tuple[LakeColumn, ...]:
        """Return the columns with these names, in this order; all of them for None."""
        if names is None:
            return self.columns
        known = {column.name: column for column in self.columns}
        return tuple(known[name] for name in names)

    def arrow(self, columns: Sequence[LakeColumn] | None = None) -> pa.Schema:
        """Return the Arrow schema of these columns, or of all."""
        fields = [
            pa.field(c.name, c.type, metadata={"description": c.help} | ({"unit": c.unit} if c.unit else {}))
            for c in (self.columns if columns is None else columns)
        ]
        return pa.schema(fields, {TABLE_KEY: self.name.encode(), VERSION_KEY: str(self.version).encode()})

    def rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Return name, type, unit, meaning, and when it is NULL, of each column."""
        for column in self.columns:
            yield column.name, type_name(column.type), column.unit, column.help, column.null


def type_name(kind: Any) -> str:
    """Return the name of a column's type in the documentation."""
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        fields = ", ".join(f"{field.name} {type_name(field.type)}" for field in kind.value_type)
        return f"list of ({fields})"
    return _NAMES[kind]
