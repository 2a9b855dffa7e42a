"""Tables go straight to a store: the same files as in a folder, each complete."""

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from testbed.seaweedfs import Bucket
from testbed.tool import bicap


def test_partitions_in_a_store_are_those_of_a_folder(bucket: Bucket, captures: Path, tmp_path: Path) -> None:
    assert bicap("sessions", "--parquet", str(tmp_path), str(captures)).code == 0
    for _ in range(2):  # the second time replaces the first
        done = bicap("sessions", "--parquet", f"{bucket.url}/a/sessions", str(captures), env=bucket.environment)
        assert (done.code, done.stdout, done.stderr) == (0, "", "")
    here = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.parquet"))
    assert [name for name in bucket.names() if name.startswith("a/")] == [f"a/sessions/{name}" for name in here]
    for name in here:
        there = pq.read_table(io.BytesIO(bucket.get(f"a/sessions/{name}")))
        assert there.equals(pq.ParquetFile(tmp_path / name).read())


def test_one_file_in_a_store(bucket: Bucket, captures: Path) -> None:
    done = bicap("latency", "--parquet", f"{bucket.url}/b/x.parquet", str(captures), env=bucket.environment)
    assert (done.code, done.stderr) == (0, "")
    assert pq.read_table(io.BytesIO(bucket.get("b/x.parquet"))).num_rows > 100


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("s3://no-such-bucket/x.parquet", 6, "cannot write s3://no-such-bucket/x.parquet: "),
        ("ftp://host/x", 2, "ftp://host/x: "),
    ],
)
def test_a_store_that_refuses_is_one_line(
    bucket: Bucket, captures: Path, target: str, code: int, message: str
) -> None:
    env = bucket.environment | {"AWS_SECRET_ACCESS_KEY": "any"}
    done = bicap("sessions", "--parquet", target, str(captures / "node-a.pcapng"), env=env)
    assert (done.code, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert message in done.stderr


def test_a_folder_of_a_store_has_one_table(bucket: Bucket, captures: Path) -> None:
    file, env = str(captures / "node-a.pcapng"), bucket.environment
    assert bicap("sessions", "--parquet", f"{bucket.url}/c", file, env=env).code == 0
    done = bicap("read", "--parquet", f"{bucket.url}/c", file, env=env)
    assert done.code == 2
    assert f"{bucket.url}/c has the table sessions; give the table packets a folder of its own" in done.stderr
