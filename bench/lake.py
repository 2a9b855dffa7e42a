"""`python -m bench.lake`: what a table costs to write beside forms of text, and how fast questions are answered.

First a capture file is written as Parquet, JSON and CSV by bicap, and as JSON and CSV of its packets by tshark. Then
a lake of many sessions on several nodes is made through the same columns and files, and DuckDB answers the ten
questions on it. CPU seconds are of the process and its children.
"""

import argparse
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import capture.lake
from bench.markdown import markdown
from capture.analysis.packets.completeness import Completeness
from capture.analysis.packets.gathered import Gathered
from capture.analysis.sessions.session_table import SESSION, Close, Handshake
from capture.arrays.aliases import Table
from capture.benchmark.process import BICAP
from capture.lake.common import TableRows
from capture.lake.identity import Origin
from capture.lake.lake_sessions import SESSIONS
from capture.lake.named_points import Points
from capture.lake.writing import write_parquet
from testbed.sessions_file import write

SQL = Path(capture.lake.__file__).parent / "sql" / "questions"
NODES, CHUNK = 20, 1 << 14
DAY_NS = 86_400 * 10**9
START_NS = 1_764_460_800 * 10**9


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def forms(file: Path, folder: Path) -> Iterator[list[str]]:
    """Yield a row for each form of the same file: what, CPU seconds, seconds, MB."""
    target = folder / "out"
    for what, words in (
        ("bicap sessions --parquet", [BICAP, "sessions", "--parquet", f"{target}.parquet", str(file)]),
        ("bicap sessions --json", [BICAP, "sessions", "--json", str(file)]),
        ("bicap sessions --csv", [BICAP, "sessions", "--csv", str(file)]),
        ("bicap read --parquet (packets)", [BICAP, "read", "--parquet", f"{target}.parquet", str(file)]),
        ("tshark -T json (packets)", ["tshark", "-n", "-r", str(file), "-T", "json"]),
        (
            "tshark -T fields (packets, 8 fields)",
            ["tshark", "-n", "-r", str(file), "-T", "fields", "-E", "separator=,"]
            + [word for name in FIELDS for word in ("-e", name)],
        ),
    ):
        before, began = _cpu_seconds(), time.perf_counter()
        with target.open("wb") as out:
            subprocess.run(words, stdout=out, check=True)
        took, cpu = time.perf_counter() - began, _cpu_seconds() - before
        written = Path(f"{target}.parquet") if "--parquet" in words else target
        yield [what, f"{cpu:.1f}", f"{took:.1f}", f"{written.stat().st_size / 1e6:.1f}"]


FIELDS = ("frame.time_epoch", "ip.src", "tcp.srcport", "ip.dst", "tcp.dstport", "tcp.flags", "tcp.seq", "frame.len")


def sessions(count: int, first: int, node: int) -> Table:
    """Return sessions of a day with plausible numbers: most go well, some in each way do not."""
    chance = np.random.default_rng(first * NODES + node)
    table = np.zeros(count, SESSION)
    table["session"] = np.arange(first, first + count)
    table["first_ns"] = np.sort(chance.integers(START_NS, START_NS + DAY_NS, count))
    table["last_ns"] = table["first_ns"] + chance.exponential(2e9, count).astype(np.int64)
    table["family"], table["protocol"], table["interface"] = 4, 6, node
    table["client_low"] = 0x0A000000 + chance.integers(0, 4096, count)
    table["server_low"] = 0x0A010000 + chance.zipf(1.5, count) % 512
    table["client_port"], table["server_port"] = (
        chance.integers(32768, 61000, count),
        chance.choice([80, 443, 5432], count),
    )
    table["handshake"] = chance.choice(
        [Handshake.COMPLETE, Handshake.REFUSED, Handshake.UNANSWERED], count, p=[0.97, 0.02, 0.01]
    )
    table["close"] = chance.choice(
        [Close.FIN, Close.RESET_BY_CLIENT, Close.RESET_BY_SERVER, Close.OPEN], count, p=[0.9, 0.03, 0.03, 0.04]
    )
    table["syns"] = table["syn_packet"] = 1
    table["requests"] = chance.integers(0, 20, count)
    table["first_byte_sum_ns"] = table["requests"] * chance.exponential(5e6, count).astype(np.int64)
    for side in ("client", "server"):
        rows = table[side]
        rows["packets"] = chance.integers(1, 200, count)
        rows["bytes"] = rows["packets"] * chance.integers(60, 1500, count)
        rows["retransmitted"] = chance.binomial(rows["packets"], 0.002)
        rows["lost_before"] = chance.binomial(rows["retransmitted"], 0.5)
        rows["rtt_count"] = rows["packets"] // 2
        rows["rtt_sum_ns"] = rows["rtt_count"] * chance.exponential(1e6, count).astype(np.int64)
    return table


def make_lake(folder: Path, count: int) -> None:
    """Write so many sessions of as many nodes as NODES."""
    for node in range(NODES):
        points = Points(Gathered(), f"node-{node}")
        origin = Origin(f"node-{node}.pcapng", f"/node-{node}", points, Completeness(known=True), START_NS)
        each = count // NODES
        whole = sessions(each, 1, node)
        rows = (TableRows(whole[at : at + CHUNK], origin) for at in range(0, each, CHUNK))
        write_parquet(SESSIONS, rows, str(folder))


def questions(folder: Path, threads: int) -> Iterator[list[str]]:
    """Yield the name and the seconds of each question."""
    import duckdb

    with duckdb.connect() as connection:
        connection.sql(f"SET threads = {threads}")
        files = f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
        connection.sql(f"CREATE VIEW sessions AS FROM {files}")
        connection.sql(
            f"CREATE TEMPORARY VIEW deployment AS SELECT CAST({START_NS + DAY_NS // 2} AS BIGINT) AS at_ns"
        )
        for file in sorted(SQL.glob("*.sql")):
            began = time.perf_counter()
            found = connection.sql(file.read_text()).fetchall()
            yield [file.stem, f"{time.perf_counter() - began:.2f}", f"{len(found):,}"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lake", description=__doc__)
    parser.add_argument("--sessions", type=int, default=20_000, help="in the capture file; 30 packets each")
    parser.add_argument("--rows", type=int, default=10_000_000, help="sessions in the lake")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bicap-lake-") as temporary:
        folder = Path(temporary)
        file = folder / "sessions.pcapng"
        packets = write(file, given.sessions)
        print(f"{packets:,} packets, {given.sessions:,} sessions, {file.stat().st_size / 1e6:,.0f} MB of pcapng\n")
        print(markdown(("form", "CPU s", "s", "MB"), list(forms(file, folder))))
        file.unlink()
        began = time.process_time()
        make_lake(folder / "lake", given.rows)
        size = sum(one.stat().st_size for one in (folder / "lake").rglob("*.parquet"))
        per_row = (time.process_time() - began) / given.rows * 1e6
        print(
            f"\n{given.rows:,} sessions of {NODES} nodes: {size / 1e6:,.0f} MB, {per_row:.1f} µs of CPU a session\n"
        )
        print(markdown(("question", "s", "rows"), list(questions(folder / "lake", os.cpu_count() or 1))))


if __name__ == "__main__":
    main()
