"""Spark's `format("bicap")`: options -> a schema, partitions, and Arrow batches from each.

    table    sessions (default), packets, latency or findings
    mode     PERMISSIVE (default): a capture that cannot be read to its end has a row more, with `capture` and
             `capture_error`; DROPMALFORMED: it is in the log only; FAILFAST: the job fails
    pushdown true: rows are filtered before they go to Spark; only where a query reads this DataFrame once, see below
    inner    true: packets inside tunnels instead of those that carry them
    node     node of interfaces that the files do not name one for
    store.*  settings of the store, as obstore names them, like store.endpoint

A capture with all its files is one partition, so that a session over the end of a file is one session. Spark 4.3
keeps one list of pushed filters for a DataFrame: a query that reads it twice with different filters, like a UNION
over one view, would get the rows of the last ones only. So filters are taken only if `pushdown` says so. A stream
has the captures whose FILE.json is there: they are complete.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    InputPartition,
    IsNotNull,
    IsNull,
    LessThan,
    LessThanOrEqual,
)
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from capture.analysis.packets.capture_parts import name_of
from capture.errors import BicapError, SpecError
from capture.lake.store import is_remote
from capture.lake.tables import TABLES
from capture.lake.writing import batch_of
from capture.spark.found import FoundCapture, at_hand, find, summaries_of
from capture.spark.table_rows import rows_of, sentences

_LOG = logging.getLogger("bicap")
_MODES = ("PERMISSIVE", "DROPMALFORMED", "FAILFAST")
_STORE = "store."
_COMPARED = {
    EqualTo: pc.equal,
    GreaterThan: pc.greater,
    GreaterThanOrEqual: pc.greater_equal,
    LessThan: pc.less,
    LessThanOrEqual: pc.less_equal,
}


def register(spark: SparkSession) -> None:
    """Make `format("bicap")` known to a session."""
    spark.dataSource.register(BicapSource)


class CapturePartition(InputPartition):
    """A capture that a task reads."""

    def __init__(self, found: FoundCapture) -> None:
        super().__init__(found.files)
        self.found = found


class BicapSource(DataSource):
    """The data source."""

    @classmethod
    def name(cls) -> str:
        """Return the word for `format`."""
        return "bicap"

    @property
    def _asked(self) -> "Asked":
        return Asked(self.options)

    def schema(self) -> StructType:
        """Return the table's schema; no file is read for it."""
        return spark_schema(self._asked.table)

    def reader(self, schema: StructType) -> "BicapReader":
        """Return the reader of what is there now."""
        asked = self._asked
        return FilteringReader(asked, schema) if asked.pushdown else BicapReader(asked, schema)

    def streamReader(self, schema: StructType) -> "BicapStreamReader":  # noqa: N802 - Spark's name
        """Return the reader of captures as they become complete."""
        return BicapStreamReader(self._asked, schema)


def spark_schema(table: str) -> StructType:
    """Return the schema of a table as Spark has it: words are strings."""
    fields = [pa.field(one.name, _plain(one.type)) for one in TABLES[table].arrow()]
    return from_arrow_schema(pa.schema(fields))


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


class Asked:
    """The options, checked. Raises SpecError."""

    def __init__(self, options: Any) -> None:
        self.table = options.get("table", "sessions")
        self.mode = options.get("mode", _MODES[0]).upper()
        self.path = options.get("path", "")
        self.inner = options.get("inner", "false").lower() == "true"
        self.pushdown = options.get("pushdown", "false").lower() == "true"
        self.node = options.get("node", "")
        self.store = {name[len(_STORE) :]: value for name, value in options.items() if name.startswith(_STORE)}
        if self.table not in TABLES:
            raise SpecError(f"there is no table {self.table!r}; tables are {', '.join(TABLES)}")
        if self.mode not in _MODES:
            raise SpecError(f"mode {self.mode!r} is not one of {', '.join(_MODES)}")
        if not self.path:
            raise SpecError("no path is given; name a folder, a file or a store's prefix in load()")


class _Batches:
    """What both readers have: captures -> batches of the asked columns, of rows that filters accept."""

    def __init__(self, asked: Asked, schema: StructType) -> None:
        self.asked, self.spark_schema = asked, schema
        self.filters: list[Filter] = []

    def read(self, partition: InputPartition) -> Iterator[Any]:
        """Return the Arrow batches of a capture."""
        assert isinstance(partition, CapturePartition)
        asked, found = self.asked, partition.found
        table, name, damage = TABLES[asked.table], name_of(found.files), list[BicapError]()
        columns = table.chosen(self.spark_schema.names)
        own, wanted = table.arrow(columns), to_arrow_schema(self.spark_schema, timezone="UTC")
        try:
            with at_hand(found.files, asked.store) as files:
                for rows in rows_of(asked.table, files, name, asked.inner, asked.node, damage):
                    yield self._accepted(pa.Table.from_batches([batch_of(columns, own, rows)]).cast(wanted))
        except BicapError as error:
            damage.append(error)
        if said := sentences(damage, found.missing):
            _LOG.warning("%s: %s", name, said)
            if asked.mode == "FAILFAST":
                raise SpecError(f"{name}: {said}")
            if asked.mode == "PERMISSIVE":
                values = {"capture": name, "capture_error": said}
                arrays = [pa.array([values.get(field.name)], field.type) for field in wanted]
                yield self._accepted(pa.Table.from_arrays(arrays, schema=wanted))

    def _accepted(self, table: Any) -> Any:
        for one in self.filters:
            column = table[one.attribute[0]]
            table = table.filter(_accepts(one, column))
        return table.combine_chunks().to_batches()[0] if len(table) else _empty(table.schema)


def _empty(schema: Any) -> Any:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _accepts(one: Filter, column: Any) -> Any:
    """Return a mask of the rows that a filter accepts."""
    if isinstance(one, IsNotNull):
        return pc.is_valid(column)
    if isinstance(one, IsNull):
        return pc.is_null(column)
    if isinstance(one, In):
        return pc.is_in(column, pa.array(list(one.value), column.type))
    compare = _COMPARED[type(one)]
    return compare(column, pa.scalar(one.value, column.type))


def _can_be_pushed(one: Filter) -> bool:
    known = isinstance(one, (IsNotNull, IsNull, In)) or type(one) in _COMPARED
    return known and len(one.attribute) == 1


class BicapReader(_Batches, DataSourceReader):
    """Captures that are there."""

    def partitions(self) -> Sequence[InputPartition]:
        """Return a partition for each capture. Raises TargetError, SpecError."""
        return [CapturePartition(found) for found in find(self.asked.path, self.asked.store)]


class FilteringReader(BicapReader):
    """The same, with filters. Spark refuses a reader that can filter unless its configuration allows that."""

    def pushFilters(self, filters: list[Filter]) -> Iterable[Filter]:  # noqa: N802 - Spark's name
        """Keep the filters that batches are filtered by, and return the others."""
        self.filters = [one for one in filters if _can_be_pushed(one)]
        return [one for one in filters if one not in self.filters]


class BicapStreamReader(_Batches, DataSourceStreamReader):
    """Captures as they become complete, by the time of their FILE.json; for folders of this machine."""

    def initialOffset(self) -> dict[str, int]:  # noqa: N802 - Spark's name
        """Return the offset before all captures."""
        return {"at_ns": 0}

    def latestOffset(self, start: dict[str, int], limit: Any = None) -> dict[str, int]:  # noqa: N802 - Spark's name
        """Return the time at which the latest capture became complete."""
        return {"at_ns": max([start["at_ns"] if start else 0, *(at for at, _ in self._complete())])}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[InputPartition]:
        """Return a partition for each capture that became complete after `start`."""
        return [CapturePartition(one) for at, one in self._complete() if start["at_ns"] < at <= end["at_ns"]]

    def _complete(self) -> Iterator[tuple[int, FoundCapture]]:
        """Return each complete capture, and the time of its summary, ns."""
        path = self.asked.path
        if is_remote(path) or not os.path.isdir(path):
            raise SpecError(f"{path}: a stream reads a folder of this machine; use spark.read for others")
        try:
            found = find(path, self.asked.store)
        except BicapError:
            return  # none has come yet
        for one in found:
            times = [os.stat(name).st_mtime_ns for name in summaries_of(one.files) if os.path.exists(name)]
            if times:
                yield max(times), one
