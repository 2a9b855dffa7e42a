"""DuckDB, Polars and PyArrow read what bicap wrote: the same rows, with the types that the documentation says."""

import datetime
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import communityid
import duckdb
import polars
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from capture.benchmark.process import BICAP
from capture.lake.schema import type_name
from capture.lake.tables import TABLES
from testbed.tool import bicap

COMMANDS = {"sessions": ["sessions"], "packets": ["read"], "latency": ["latency"], "findings": ["diagnose"]}
KEYS = {
    "sessions": "session",
    "packets": "number",
    "latency": "time_ns, session, measure, side",
    "findings": "finding",
}
DUCKDB = {
    "bigint": "BIGINT",
    "int": "INTEGER",
    "boolean": "BOOLEAN",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp (µs, UTC)": "TIMESTAMP WITH TIME ZONE",
    "string": "VARCHAR",
    "string, dictionary": "VARCHAR",
    "map of string to string": "MAP(VARCHAR, VARCHAR)",
    "list of string": "VARCHAR[]",
    "list of (capture string, session bigint, packet bigint)": (
        'STRUCT(capture VARCHAR, "session" BIGINT, packet BIGINT)[]'
    ),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, captures: Path) -> Path:
    """A folder for each table."""
    folder = tmp_path_factory.mktemp("lake")
    for table, command in COMMANDS.items():
        done = bicap(*command, "--parquet", str(folder / table), str(captures))
        assert (done.code, done.stdout, done.stderr) == (0, "", "")
    return folder


def streamed(table: str, captures: Path) -> Any:
    """The same rows as an Arrow stream from a pipe."""
    command = [BICAP, *COMMANDS[table], "--arrow", "-", str(captures)]
    done = subprocess.run(command, capture_output=True, check=True)
    return pa.ipc.open_stream(done.stdout).read_all()


def plain(value: Any) -> Any:
    """A value as all engines can say it."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC)
    if isinstance(value, dict) and not {"capture", "session"} <= set(value):
        return sorted(value.items())
    if isinstance(value, list) and value and isinstance(value[0], dict) and set(value[0]) == {"key", "value"}:
        return sorted((pair["key"], pair["value"]) for pair in value)
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return sorted(value)
    return value


def rows(columns: list[str], given: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((tuple(plain(row[name]) for name in columns) for row in given), key=repr)


def by_duckdb(folder: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        connection.sql("SET TimeZone = 'UTC'")
        found = connection.sql(f"FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)")
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def by_polars(folder: Path) -> list[dict[str, Any]]:
    found = polars.read_parquet(folder / "**/*.parquet", hive_partitioning=True, try_parse_hive_dates=True)
    return list(found.to_dicts())


def by_pyarrow(folder: Path) -> list[dict[str, Any]]:
    keys = pa.schema([("date", pa.date32()), ("node", pa.string())])
    partitions = pyarrow.dataset.partitioning(keys, flavor="hive")
    return list(pyarrow.dataset.dataset(folder, format="parquet", partitioning=partitions).to_table().to_pylist())


@pytest.mark.parametrize("engine", [by_duckdb, by_polars, by_pyarrow])
@pytest.mark.parametrize("table", TABLES)
def test_each_engine_reads_the_rows_that_a_stream_has(
    lake: Path, captures: Path, table: str, engine: Callable[[Path], list[dict[str, Any]]]
) -> None:
    expected = streamed(table, captures)
    assert expected.num_rows >= 5
    found = engine(lake / table)
    assert set(found[0]) == set(expected.column_names)
    assert rows(expected.column_names, found) == rows(expected.column_names, expected.to_pylist())


@pytest.mark.parametrize("table", TABLES)
def test_types_are_what_the_documentation_says(lake: Path, table: str) -> None:
    with duckdb.connect() as connection:
        given = f"read_parquet('{lake / table}/**/*.parquet', hive_partitioning = true)"
        found = dict(connection.sql(f"SELECT column_name, column_type FROM (DESCRIBE FROM {given})").fetchall())
    assert found == {column.name: DUCKDB[type_name(column.type)] for column in TABLES[table].columns}


def test_sessions_are_those_of_json(lake: Path, captures: Path) -> None:
    as_json = [json.loads(line) for line in bicap("sessions", "--json", str(captures)).stdout.splitlines()]
    found = sorted(by_duckdb(lake / "sessions"), key=lambda row: row["session"])
    assert len(found) == len(as_json) > 90
    for ours, theirs in zip(found, sorted(as_json, key=lambda row: row["session"]), strict=True):
        for name, value in theirs.items():
            # JSON has the identifier of an ICMP echo as its ports, which it has none of.
            none = value in (0, -1, "") or (name.endswith("_port") and theirs["protocol"] == "icmp")
            assert ours[name] == value or (ours[name] is None and none), name


def test_a_day_and_a_node_are_a_folder_and_rows_are_sorted(lake: Path) -> None:
    folders = {str(file.parent.relative_to(lake / "sessions")) for file in (lake / "sessions").rglob("*.parquet")}
    assert folders == {f"date={day}/node={node}" for day in ("2025-11-29", "2025-11-30") for node in "ab"}
    for file in (lake / "sessions").rglob("*.parquet"):
        starts = pq.ParquetFile(file).read(["start_ns"])["start_ns"].to_pylist()
        assert starts == sorted(starts)


def test_community_ids_are_those_of_the_reference(lake: Path) -> None:
    reference, compared = communityid.CommunityID(), set()
    for row in by_duckdb(lake / "sessions"):
        ends = row["client"], row["server"]
        if row["protocol"] == "icmp":
            tuple_ = communityid.FlowTuple.make_icmp(*ends, 8, 0)
        else:
            make = getattr(communityid.FlowTuple, f"make_{row['protocol']}")
            tuple_ = make(*ends, row["client_port"], row["server_port"])
        assert row["community_id"] == reference.calc(tuple_)
        compared.add(row["protocol"])
    assert compared == {"tcp", "udp", "icmp"}


def test_samples_findings_and_packets_join_their_sessions(lake: Path) -> None:
    with duckdb.connect() as connection:
        for table in ("sessions", "latency", "packets"):
            given = f"read_parquet('{lake / table}/**/*.parquet', hive_partitioning = true)"
            connection.sql(f"CREATE VIEW {table} AS FROM {given}")
        joined = connection.sql("""
            SELECT count(*), count(s.session),
                bool_and(s.client = l.client AND s.server_port IS NOT DISTINCT FROM l.server_port)
            FROM latency l LEFT JOIN sessions s USING (capture_id, session)""").fetchall()
        assert joined[0][0] == joined[0][1] > 100
        assert joined[0][2]
        differing = connection.sql("""
            SELECT s.session, s.packets, count(p.number) AS found
            FROM sessions s LEFT JOIN packets p USING (capture_id, session)
            GROUP BY ALL HAVING s.packets <> found""").fetchall()
        assert differing == []
