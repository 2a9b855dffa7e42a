"""Spark reads captures: the rows of one process, sessions over the ends of files, damage in a column, and a store."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.datasource import EqualTo, GreaterThan, In, IsNull, StringContains

from capture.benchmark.process import BICAP
from capture.lake.tables import TABLES
from capture.spark.data_source import Asked, FilteringReader, register, spark_schema
from testbed.seaweedfs import Bucket
from tests.lake.node_captures import conversations, write
from tests.lake.test_engines import COMMANDS
from tests.lake.test_sql import DEPLOYMENT_NS, QUESTIONS, VIEWS


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A master and two workers in one process, little memory each."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "1g")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.python.filterPushdown.enabled", "true")
        .config("spark.sql.ansi.doubleQuotedIdentifiers", "true")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    register(session)
    yield session
    session.stop()


def load(spark: Any, path: Path | str, table: str = "sessions", **options: str) -> Any:
    return spark.read.format("bicap").option("table", table).options(**options).load(str(path))


def rows(columns: list[str], given: list[dict[str, Any]]) -> list[str]:
    """Rows as texts in an order, without what depends on where a capture lies."""
    kept = [name for name in columns if name not in ("capture", "capture_id", "evidence")]
    return sorted(repr([_plain(row[name]) for name in kept]) for row in given)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return sorted(value)
    return value.replace(tzinfo=None) if hasattr(value, "tzinfo") and value is not None else value


def by_one_process(table: str, file: Path) -> tuple[list[str], list[dict[str, Any]]]:
    done = subprocess.run([BICAP, *COMMANDS[table], "--arrow", "-", str(file)], capture_output=True, check=True)
    found = pa.ipc.open_stream(done.stdout).read_all()
    return found.column_names, found.to_pylist()


@pytest.mark.parametrize("table", TABLES)
def test_each_table_has_the_rows_that_one_process_has(spark: Any, captures: Path, table: str) -> None:
    expected: list[dict[str, Any]] = []
    for node in "ab":
        columns, found = by_one_process(table, captures / f"node-{node}.pcapng")
        expected += found
    read = load(spark, captures, table)
    assert read.columns == columns
    assert rows(columns, [row.asDict() for row in read.collect()]) == rows(columns, expected)


def test_the_schema_needs_no_file(spark: Any) -> None:
    read = load(spark, "/no/such/folder")
    assert read.columns == [column.name for column in TABLES["sessions"].columns]
    assert dict(read.dtypes)["start"] == "timestamp"


@pytest.mark.parametrize("pushdown", ["true", "false"])
def test_filters_have_the_same_rows_wherever_they_are_applied(spark: Any, captures: Path, pushdown: str) -> None:
    read = load(spark, captures, pushdown=pushdown)
    read = read.where("handshake = 'refused' AND server_port > 80 AND node IN ('a', 'x')")
    assert [(row["handshake"], row["node"]) for row in read.collect()] == [("refused", "a")] * 2


def test_a_reader_filters_its_batches_and_leaves_the_rest_to_spark(captures: Path) -> None:
    reader = FilteringReader(Asked({"path": str(captures), "pushdown": "true"}), spark_schema("sessions"))
    filters = [EqualTo(("handshake",), "refused"), In(("node",), ("a",)), StringContains(("client",), "10.")]
    left = list(reader.pushFilters([*filters, IsNull(("icmp_type",)), GreaterThan(("server_port",), 80)]))
    assert len(left) == 1
    assert sum(batch.num_rows for one in reader.partitions() for batch in reader.read(one)) == 2


def test_it_is_read_as_spark_is_configured_by_itself(spark: Any, captures: Path) -> None:
    """Spark refuses a reader that could filter, unless it is told to push filters down."""
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "false")
    try:
        assert load(spark, captures).where("handshake = 'refused'").count() == 4
    finally:
        spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """One capture in three files whose sessions go over their ends."""
    frames = sorted(conversations(), key=lambda one: one[0])
    ends = [0, len(frames) // 3, 2 * len(frames) // 3 + 1, len(frames)]
    for number in range(3):
        name = f"web_{number + 1:05}_2026113002000{number}.pcapng"
        write(tmp_path / name, "a", "shop/web-0", "app=web", frames[ends[number] : ends[number + 1]])
    return tmp_path


def test_a_session_over_the_end_of_a_file_is_one(spark: Any, parts: Path, tmp_path: Path) -> None:
    columns, expected = by_one_process("sessions", parts / "web_*.pcapng")
    read = load(spark, parts)
    assert read.rdd.getNumPartitions() == 1
    assert rows(columns, [row.asDict() for row in read.collect()]) == rows(columns, expected)


def test_a_missing_and_a_damaged_file_are_said_in_a_column_and_the_rest_is_read(spark: Any, parts: Path) -> None:
    whole = load(spark, parts).count()
    first, second, third = sorted(parts.iterdir())
    second.unlink()
    content = third.read_bytes()
    third.write_bytes(content[: len(content) // 2])
    read = load(spark, parts)
    said = read.where("capture_error IS NOT NULL").collect()
    assert len(said) == 1
    assert "files of the set are missing: number 2" in said[0]["capture_error"]
    assert third.name in said[0]["capture_error"]
    assert said[0]["capture"].endswith("web_*.pcapng")
    assert said[0]["session"] is None
    assert 0 < read.where("capture_error IS NULL").count() < whole
    assert load(spark, parts, mode="DROPMALFORMED").where("capture_error IS NOT NULL").count() == 0
    with pytest.raises(Exception, match="files of the set are missing"):
        load(spark, parts, mode="FAILFAST").collect()
    first.unlink()
    third.write_text("no capture")
    assert [row["session"] for row in load(spark, parts).collect()] == [None]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"table": "flows"}, "there is no table 'flows'"), ({"mode": "QUIET"}, "mode 'QUIET' is not one of PERMISSIVE")],
)
def test_a_wrong_option_is_named(spark: Any, captures: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(Exception, match=message):
        spark.read.format("bicap").options(**options).load(str(captures)).collect()


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_have_the_answers_of_duckdb(spark: Any, captures: Path, name: str) -> None:
    import duckdb

    load(spark, captures).createOrReplaceTempView("sessions")
    deployment = f"CREATE OR REPLACE TEMPORARY VIEW deployment AS SELECT CAST({DEPLOYMENT_NS} AS BIGINT) AS at_ns"
    spark.sql(deployment)
    found = [tuple(row) for row in spark.sql(QUESTIONS[name].rstrip().rstrip(";")).collect()]
    sessions = [pa.Table.from_pylist(by_one_process("sessions", captures / f"node-{node}.pcapng")[1],
                                     TABLES["sessions"].arrow()) for node in "ab"]  # fmt: skip
    with duckdb.connect() as connection:
        connection.register("sessions", pa.concat_tables(sessions))
        connection.sql(deployment)
        expected = connection.sql(QUESTIONS[name]).fetchall()
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(_sorted(found), _sorted(expected), strict=True):
        assert ours == pytest.approx(theirs, nan_ok=True)


def _sorted(given: list[tuple[Any, ...]]) -> list[list[Any]]:
    plain = [[float(one) if isinstance(one, (int, float)) and not isinstance(one, bool) else one for one in row]
             for row in given]  # fmt: skip
    plain = [[float(one) if type(one).__name__ == "Decimal" else one for one in row] for row in plain]
    return sorted(plain, key=lambda row: repr([round(one, 6) if isinstance(one, float) else one for one in row]))


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_spark_sql(spark: Any, captures: Path, name: str) -> None:
    load(spark, captures).createOrReplaceTempView("sessions")
    spark.sql(VIEWS[name].rstrip().rstrip(";"))
    view = VIEWS[name].split("VIEW ")[1].split(" ")[0]
    assert spark.table(view).count() == spark.table("sessions").count()


def test_a_stream_has_a_capture_when_it_is_complete(spark: Any, captures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "incidents"
    folder.mkdir()
    shutil.copy(captures / "node-a.pcapng", folder)
    stream = (
        spark.readStream.format("bicap").load(str(folder)).writeStream.format("memory").queryName("arrived").start()
    )
    try:
        stream.processAllAvailable()
        assert spark.table("arrived").count() == 0
        (folder / "node-a.pcapng.json").write_text("{}")
        stream.processAllAvailable()
        first = spark.table("arrived").count()
        assert first == load(spark, captures / "node-a.pcapng").count()
        shutil.copy(captures / "node-b.pcapng", folder)
        time.sleep(0.01)
        (folder / "node-b.pcapng.json").write_text("{}")
        stream.processAllAvailable()
        assert spark.table("arrived").count() == load(spark, captures).count()
    finally:
        stream.stop()


def test_captures_are_read_from_a_store(spark: Any, captures: Path, bucket: Bucket) -> None:
    for node in "ab":
        bucket.put(f"2026/node-{node}.pcapng", (captures / f"node-{node}.pcapng").read_bytes())
    bucket.put("2026/notes.txt", b"no capture")
    settings = {f"store.{name}": value for name, value in bucket.settings.items()}
    read = load(spark, f"{bucket.url}/2026/", **settings)
    columns = read.columns
    here = rows(columns, [row.asDict() for row in load(spark, captures).collect()])
    assert rows(columns, [row.asDict() for row in read.collect()]) == here
    names = {row["capture"] for row in read.select("capture").distinct().collect()}
    assert names == {f"{bucket.url}/2026/node-{node}.pcapng" for node in "ab"}
    with pytest.raises(Exception, match="has no capture files"):
        load(spark, f"{bucket.url}/nothing/", **settings).collect()
