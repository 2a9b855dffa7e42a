"""Batches of a table -> one Parquet file, folders of partitions, or an Arrow stream.

A file is written under a hidden name, which engines skip, and renamed when it is complete: nobody reads half of one.
In folders its name is made of the capture's number, so that a capture which is written again replaces its rows.
TableRows wait until they fill a row group, and ROWS_WAITING at most wait in all partitions together.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from capture.analysis.query.conditions import no_column
from capture.arrays.rows import alike
from capture.errors import SinkError, SpecError
from capture.lake.common import TableRows
from capture.lake.schema import LakeColumn, TableSchema
from capture.lake.store import Store, is_remote

ROW_GROUP = 131_072
"""TableRows in a row group: DuckDB reads groups of 122,880 and more side by side."""
ROWS_WAITING = 4 * ROW_GROUP
"""TableRows that wait for their row group at most, all partitions together."""
OPEN_MAX = 256
"""Files that are written at a time at most; rows of a partition whose file was completed begin another."""
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""Name of a NULL in the name of a folder, as Hive, Spark and DuckDB have it."""
_SUFFIX = ".parquet"
_ABANDONED_SECONDS = 86_400
"""Age from which on a hidden file is one of an export that was killed: a file that is written changes much sooner."""


def batch_of(columns: Sequence[LakeColumn], schema: Any, rows: TableRows) -> Any:
    """Return rows as an Arrow batch."""
    return pa.record_batch([column.make(rows) for column in columns], schema=schema)


def check_names(table: TableSchema, names: Sequence[str]) -> None:
    """Raise SpecError for a name that is not a column of the table."""
    known = [column.name for column in table.columns]
    for name in names:
        if name not in known:
            raise no_column(f"--columns, table {table.name}", name, known, "docs/lake-tables.md")


def write_parquet(
    table: TableSchema, rows: Iterable[TableRows], target: str, names: Sequence[str] | None = None
) -> None:
    """Write a Parquet file if `target` ends in .parquet, else partitions in that folder. Raises SinkError, SpecError.

    For a store, files are made in a temporary folder first.
    """
    if is_remote(target):
        _write_to_store(table, rows, target, names)
    elif target.endswith(_SUFFIX):
        write_file(table, rows, target, names)
    else:
        write_partitions(table, rows, target, names)


def write_file(
    table: TableSchema, rows: Iterable[TableRows], target: str, names: Sequence[str] | None = None
) -> None:
    """Write one file; without rows it has the schema only. Raises SinkError."""
    columns = table.chosen(names)
    schema = table.arrow(columns)
    with _file_errors(target):
        file = _File(*os.path.split(target), schema)
        try:
            for one in rows:
                file.add(batch_of(columns, schema, one))
            file.finish()
        except BaseException:
            file.abandon()
            raise


def write_partitions(
    table: TableSchema, rows: Iterable[TableRows], folder: str, names: Sequence[str] | None = None
) -> None:
    """Write a file for each partition; all of them appear when all are complete. Raises SinkError, SpecError."""
    columns = table.chosen(names)
    chosen = [column.name for column in columns]
    if missing := [name for name in table.partitions if name not in chosen]:
        raise SpecError(f"--columns: folders are named after {' and '.join(missing)}; add it, or write one file")
    _check_folder(table, folder)
    schema = table.arrow(columns)
    kept = [column for column in columns if column.name not in table.partitions]
    inside = table.arrow(kept)
    files: dict[tuple[str, ...], _File] = {}
    """Files that are written, that of the latest rows last."""
    complete: list[_File] = []
    with _file_errors(folder):
        os.makedirs(folder, exist_ok=True)
        try:
            for one in rows:
                batch = batch_of(columns, schema, one)
                for key, part in _by_partition(batch, table.partitions):
                    file = files.pop(key, None)
                    if file is None:
                        while len(files) >= OPEN_MAX:
                            complete.append(files.pop(next(iter(files))))
                            complete[-1].close()
                        path = os.path.join(folder, *key)
                        os.makedirs(path, exist_ok=True)
                        parts = sum(1 for other in complete if other.folder == path)
                        more = f"-{parts}" if parts else ""
                        file = _File(path, f"{table.name}-{one.origin.number}{more}{_SUFFIX}", inside)
                    files[key] = file
                    file.add(part.select(inside.names))
                while sum(file.waiting for file in files.values()) > ROWS_WAITING:
                    max(files.values(), key=lambda file: file.waiting).flush()
            for file in files.values():
                file.close()
            for file in (*complete, *files.values()):
                file.publish()
        except BaseException:
            for file in (*complete, *files.values()):
                file.abandon()
            raise


def _write_to_store(table: TableSchema, rows: Iterable[TableRows], target: str, names: Sequence[str] | None) -> None:
    folder, slash, name = target.rpartition("/") if target.endswith(_SUFFIX) else (target, "", "")
    store = Store(folder)
    if not slash:
        _check_names(table, target, (found.removeprefix(f"{folder}/") for found in store.names()))
    with tempfile.TemporaryDirectory(prefix="bicap-") as temporary:
        write_parquet(table, rows, os.path.join(temporary, name) if slash else temporary, names)
        for file in sorted(Path(temporary).rglob(f"*{_SUFFIX}")):
            store.put(file, str(file.relative_to(temporary)))


def write_arrow(
    table: TableSchema, rows: Iterable[TableRows], target: str, names: Sequence[str] | None = None
) -> None:
    """Write an Arrow IPC stream to a file, or to standard output for "-". Raises SinkError."""
    columns = table.chosen(names)
    schema = table.arrow(columns)
    with _file_errors(target):
        sink = sys.stdout.buffer if target == "-" else open(target, "wb")  # noqa: SIM115 - closed below
        try:
            with pa.ipc.new_stream(sink, schema) as stream:
                for one in rows:
                    stream.write_batch(batch_of(columns, schema, one))
            sink.flush()
        finally:
            if target != "-":
                sink.close()


class _File:
    """A Parquet file that is being written."""

    def __init__(self, folder: str, name: str, schema: Any) -> None:
        self.folder, self._schema = folder, schema
        self._target = os.path.join(folder, name)
        self._temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
        self._batches: list[Any] = []
        self.waiting = 0
        """TableRows that are not written."""
        _remove_abandoned(folder)
        self._writer = pq.ParquetWriter(self._temporary, schema, compression="zstd", compression_level=3)

    def add(self, batch: Any) -> None:
        self._batches.append(batch)
        self.waiting += len(batch)
        if self.waiting >= ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one row group."""
        if self.waiting:
            self._writer.write_table(pa.Table.from_batches(self._batches, self._schema), row_group_size=ROW_GROUP)
        self._batches.clear()
        self.waiting = 0

    def close(self) -> None:
        self.flush()
        self._writer.close()

    def publish(self) -> None:
        """Give the file its name."""
        os.replace(self._temporary, self._target)

    def finish(self) -> None:
        self.close()
        self.publish()

    def abandon(self) -> None:
        """Remove what was written, unless it has its name already."""
        with suppress(Exception):
            self._writer.close()
        with suppress(OSError):
            os.unlink(self._temporary)


def _remove_abandoned(folder: str) -> None:
    """Remove what exports that were killed have left in a folder."""
    with suppress(OSError), os.scandir(folder or ".") as entries:
        for entry in entries:
            ours = entry.name.startswith(".") and f"{_SUFFIX}." in entry.name and entry.name.endswith(".tmp")
            if ours and time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
                os.unlink(entry.path)


def _by_partition(batch: Any, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Return the folders that the rows of a batch belong to, and the rows of each, in their order."""
    keys = [batch.column(name).dictionary_encode(null_encoding="encode") for name in names]
    distinct, which = alike(*(key.indices.to_numpy() for key in keys))
    for number, codes in enumerate(distinct):
        values = [key.dictionary[code].as_py() for key, code in zip(keys, codes, strict=True)]
        folders = tuple(f"{name}={_folder_word(value)}" for name, value in zip(names, values, strict=True))
        yield folders, batch.filter(pa.array(which == number)) if len(distinct) > 1 else batch


def _folder_word(value: Any) -> str:
    return _NO_VALUE if value is None else quote(str(value), safe=" ")


def _check_folder(table: TableSchema, folder: str) -> None:
    """Raise SpecError if the folder has another table: engines would take both for one."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise SpecError(f"{folder} is a file; name a folder, or a file that ends in {_SUFFIX}")
    _check_names(
        table, folder, (str(found.relative_to(folder)) for found in Path(folder).glob(f"*=*/*=*/*{_SUFFIX}"))
    )


def _check_names(table: TableSchema, folder: str, found: Iterable[str]) -> None:
    for one in found:
        name = re.match(r"([a-z]+)-[0-9a-f]{16}", one.rpartition("/")[2])
        if name and name[1] != table.name:
            raise SpecError(
                f"{folder} has the table {name[1]}; give the table {table.name} a folder of its own, like "
                f"{folder.rstrip('/')}/{table.name}"
            )
        if name:
            return


@contextmanager
def _file_errors(target: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SinkError(f"cannot write {target}: {error.strerror or error}") from None
