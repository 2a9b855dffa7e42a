"""TableRows -> files: partitions by day and node, complete or not there, and the same capture only once."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capture.errors import SinkError, SpecError
from capture.lake import writing
from capture.lake.common import TableRows
from capture.lake.lake_sessions import SESSIONS
from capture.lake.writing import check_names, write_arrow, write_parquet
from tests.unit.analysis.session_row import session
from tests.unit.lake.capture_origin import interface, origin

DAY = 86400 * 10**9
ON_NODES = [interface("a", "x, node n/1, y"), interface("b")]
"""Interfaces of a node with a strange name, and of none that is known."""


def some(first_ns: int = 1) -> TableRows:
    """Three sessions: two of one day on two interfaces, and one of the next day."""
    table = np.concatenate(
        [session(session=at, first_ns=ns, interface=i) for at, (ns, i) in enumerate([(0, 0), (5, 1), (DAY, 0)], 1)]
    )
    return TableRows(table, origin(interfaces=ON_NODES, first_ns=first_ns))


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def sessions_in(folder: Path) -> list[int]:
    return sorted(n for f in folder.rglob("*.parquet") for n in pq.ParquetFile(f).read()["session"].to_pylist())


def test_a_folder_has_a_file_for_each_day_and_node(tmp_path: Path) -> None:
    write_parquet(SESSIONS, [some()], str(tmp_path / "lake"))
    name = f"sessions-{some().origin.number}.parquet"
    found = names(tmp_path / "lake")
    assert found == [
        f"date=1970-01-01/node=__HIVE_DEFAULT_PARTITION__/{name}",
        f"date=1970-01-01/node=n%2F1/{name}",
        f"date=1970-01-02/node=n%2F1/{name}",
    ]
    file = pq.ParquetFile(tmp_path / "lake" / found[1])
    assert {"date", "node"}.isdisjoint(file.schema_arrow.names)
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.schema_arrow.metadata[b"bicap.table"] == b"sessions"
    assert sessions_in(tmp_path / "lake") == [1, 2, 3]


def test_the_same_capture_replaces_its_rows_and_another_adds_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        write_parquet(SESSIONS, [some()], str(tmp_path))
    assert sessions_in(tmp_path) == [1, 2, 3]
    write_parquet(SESSIONS, [some(first_ns=2)], str(tmp_path))
    assert sessions_in(tmp_path) == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("target", ["lake", "one.parquet"])
def test_nothing_is_left_of_a_table_that_was_not_written_to_its_end(tmp_path: Path, target: str) -> None:
    def breaks() -> Iterator[TableRows]:
        yield some()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_parquet(SESSIONS, breaks(), str(tmp_path / target))
    assert names(tmp_path) == []


def test_what_a_killed_export_left_is_removed_when_it_is_a_day_old(tmp_path: Path) -> None:
    old, young, theirs = (tmp_path / name for name in (".a.parquet.1.tmp", ".b.parquet.2.tmp", ".c.tmp"))
    for file in (old, young, theirs):
        file.write_bytes(b"PAR1")
    for file in (old, theirs):
        os.utime(file, (1, 1))
    write_parquet(SESSIONS, [some()], str(tmp_path / "new.parquet"))
    assert sorted(file.name for file in tmp_path.iterdir()) == [young.name, theirs.name, "new.parquet"]


def test_rows_wait_for_a_group_and_are_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "ROW_GROUP", 5)
    write_parquet(SESSIONS, [some()] * 4, str(tmp_path / "one.parquet"))
    file = pq.ParquetFile(tmp_path / "one.parquet")
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [5, 1, 5, 1]
    assert file.read()["session"].to_pylist() == [1, 2, 3] * 4
    assert {"date", "node"} <= set(file.schema_arrow.names)


def test_few_files_are_open_and_few_rows_wait_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "OPEN_MAX", 1)
    monkeypatch.setattr(writing, "ROWS_WAITING", 1)
    write_parquet(SESSIONS, [some(), some()], str(tmp_path))
    assert sessions_in(tmp_path) == [1, 1, 2, 2, 3, 3]
    assert len(names(tmp_path)) == 6


def test_a_stream_has_the_same_rows(tmp_path: Path) -> None:
    write_parquet(SESSIONS, [some()], str(tmp_path / "one.parquet"))
    write_arrow(SESSIONS, [some()], str(tmp_path / "stream"))
    stream = pa.ipc.open_stream((tmp_path / "stream").read_bytes()).read_all()
    assert stream.to_pylist() == pq.read_table(tmp_path / "one.parquet", partitioning=None).to_pylist()


def test_chosen_columns_come_in_their_order(tmp_path: Path) -> None:
    write_parquet(SESSIONS, [some()], str(tmp_path / "one.parquet"), ["session", "client"])
    assert pq.ParquetFile(tmp_path / "one.parquet").schema_arrow.names == ["session", "client"]
    with pytest.raises(SpecError, match=r"folders are named after node; add it"):
        write_parquet(SESSIONS, [some()], str(tmp_path / "lake"), ["date", "session"])
    with pytest.raises(SpecError, match=r"table sessions: there is no column sesion; do you mean session\?"):
        check_names(SESSIONS, ["sesion"])


def test_a_folder_has_one_table(tmp_path: Path) -> None:
    other = tmp_path / "date=1970-01-01" / "node=a"
    other.mkdir(parents=True)
    (other / "packets-0123456789abcdef.parquet").touch()
    with pytest.raises(SpecError, match=r"has the table packets; give the table sessions a folder of its own, like "):
        write_parquet(SESSIONS, [some()], str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(SpecError, match=r"file is a file; name a folder"):
        write_parquet(SESSIONS, [some()], str(tmp_path / "file"))


@pytest.mark.parametrize("target", ["/proc/none/lake", "/proc/none/one.parquet"])
def test_a_place_that_cannot_be_written_is_named(target: str) -> None:
    with pytest.raises(SinkError, match=rf"cannot write {target}: "):
        write_parquet(SESSIONS, [some()], target)
