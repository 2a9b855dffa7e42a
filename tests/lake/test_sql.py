"""The views and the questions of capture/lake/sql run in DuckDB, and say what the captures show."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import capture.lake
from testbed.tool import bicap
from tests.lake.node_captures import START_NS
from tests.unit.analysis.scripted_packets import MS

SQL = Path(capture.lake.__file__).parent / "sql"
VIEWS = {file.stem: file.read_text() for file in sorted((SQL / "views").glob("*.sql"))}
QUESTIONS = {file.stem: file.read_text() for file in sorted((SQL / "questions").glob("*.sql"))}
DEPLOYMENT_NS = START_NS + 20 * 15_000 * MS
"""Servers answer in 5 ms before, and in 50 ms after."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, captures: Path) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("lake")
    for node in "ab":
        done = bicap("sessions", "--parquet", str(folder), str(captures / f"node-{node}.pcapng"))
        assert (done.code, done.stderr) == (0, "")
    with duckdb.connect() as connection:
        connection.sql(
            f"CREATE VIEW sessions AS FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
        )
        connection.sql(f"CREATE TEMPORARY VIEW deployment AS SELECT CAST({DEPLOYMENT_NS} AS BIGINT) AS at_ns")
        yield connection


def answer(lake: Any, text: str) -> list[dict[str, Any]]:
    found = lake.sql(text)
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def ask(lake: Any, number: int) -> list[dict[str, Any]]:
    (text,) = (text for name, text in QUESTIONS.items() if name.startswith(f"{number:02}-"))
    found = answer(lake, text)
    assert found, "no rows"
    return found


def test_there_are_ten_questions() -> None:
    assert [name[:2] for name in QUESTIONS] == [f"{number:02}" for number in range(1, 11)]


def test_slowest_servers_are_named_by_their_pod(lake: Any) -> None:
    slowest = ask(lake, 1)[0]
    assert (slowest["server_at"], slowest["server_port"]) == ("bank/api-0", 80)
    assert 25 < slowest["mean_ms"] < 30  # half of the requests waited 5 ms, half 50
    assert slowest["requests"] == 80


def test_who_resets(lake: Any) -> None:
    found = {(row["reset_by"], row["server_port"]): row for row in ask(lake, 2)}
    assert found["server", 81]["refused"] == found["server", 81]["sessions"] == 4


def test_retransmissions_by_pair_of_nodes(lake: Any) -> None:
    (pair,) = ask(lake, 3)
    assert (pair["one"], pair["other"]) == ("a", "b")
    assert pair["conversations"] == 40 + 2 + 1 + 1 + 1
    assert 4 <= pair["retransmitted"] <= 12


def test_failed_handshakes_by_cause(lake: Any) -> None:
    found = {(row["handshake"], row["server_port"]): row["sessions"] for row in ask(lake, 4)}
    assert found == {("refused", 81): 4, ("unanswered", 80): 2}


def test_dns_failures(lake: Any) -> None:
    found = {row["dns_name"]: (row["outcome"], row["sessions"], row["clients"]) for row in ask(lake, 5)}
    assert found == {"nowhere.shop": ("NXDOMAIN", 2, 1), "silent.shop": ("no answer", 2, 1)}


def test_top_talkers_count_a_conversation_once(lake: Any) -> None:
    first = ask(lake, 6)[0]
    assert (first["client"], first["server"], first["server_port"]) == ("10.0.0.1", "10.0.0.2", 80)
    assert first["conversations"] == 40 + 1 + 1 + 1


def test_black_holes(lake: Any) -> None:
    (found,) = ask(lake, 7)
    assert (found["sender"], found["receiver"], found["sessions"]) == ("10.0.0.1", "10.0.0.2", 2)
    assert (found["smallest_that_is_lost"], found["largest_that_arrives"]) == (1448, 100)


def test_asymmetric_losses(lake: Any) -> None:
    first = ask(lake, 8)[0]
    assert first["lost_from_client"] >= 1
    assert first["share_from_client"] > first["share_from_server"]


def test_before_and_after_a_deployment(lake: Any) -> None:
    found = {row["phase"]: row for row in ask(lake, 9) if row["server_port"] == 80}
    assert 4 < found["before"]["mean_first_byte_ms"] < 7
    assert 45 < found["after"]["mean_first_byte_ms"] < 52
    assert found["before"]["share_failed"] > found["after"]["share_failed"] == 0


def test_both_ends_of_a_conversation(lake: Any) -> None:
    found = ask(lake, 10)
    assert {(row["one_node"], row["other_node"]) for row in found} == {("a", "b")}
    missing = [row for row in found if row["client_packets_more_at_one"] or row["server_packets_more_at_other"]]
    assert len(missing) == 1  # one packet did not reach the other node's point
    assert len(found) == len({row["community_id"] for row in found}) == answer(
        lake, "SELECT count(DISTINCT community_id) AS n FROM sessions")[0]["n"]  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_each_session_and_names_no_column_twice(lake: Any, name: str) -> None:
    lake.sql(VIEWS[name])
    view = VIEWS[name].split("VIEW ")[1].split(" ")[0]
    columns = [row["column_name"] for row in answer(lake, f"DESCRIBE {view}")]
    assert len(columns) == len(set(columns)) > 15
    counts = answer(lake, f"SELECT (SELECT count(*) FROM {view}) AS ours, (SELECT count(*) FROM sessions) AS all_")[0]
    assert counts["ours"] == counts["all_"] > 90


# What the documentation of conn.log says of conn_state, as packets of sides that were seen.
STATES = [
    # state, syns, syn_acks, client FIN, server FIN, client RST, server RST (numbers of packets), close
    ("S0", 1, 0, None, None, None, None, "open"),
    ("S1", 1, 1, None, None, None, None, "open"),
    ("SF", 1, 1, 5, 6, None, None, "fin"),
    ("REJ", 1, 0, None, None, None, 2, "reset-by-server"),
    ("S2", 1, 1, 5, None, None, None, "half"),
    ("S3", 1, 1, None, 5, None, None, "half"),
    ("RSTO", 1, 1, None, None, 5, None, "reset-by-client"),
    ("RSTR", 1, 1, None, None, None, 5, "reset-by-server"),
    ("RSTOS0", 1, 0, None, None, 2, None, "reset-by-client"),
    ("RSTRH", 0, 1, None, None, None, 2, "reset-by-server"),
    ("SH", 1, 0, 2, None, None, None, "half"),
    ("SHR", 0, 1, None, 2, None, None, "half"),
    ("OTH", 0, 0, None, None, None, None, "open"),
]


@pytest.mark.parametrize("case", STATES, ids=lambda case: case[0])
def test_states_of_zeek_are_those_of_its_documentation(lake: Any, case: tuple[Any, ...]) -> None:
    state, syns, syn_acks, *numbers, close = case
    names = [f"{side}_{kind}_packet" for kind in ("fin", "rst") for side in ("client", "server")]
    values = ", ".join(
        f"CAST({'NULL' if number is None else number} AS BIGINT) AS {name}"
        for name, number in zip(names, numbers, strict=True)
    )
    lake.sql(VIEWS["zeek"])
    text = VIEWS["zeek"].replace("zeek_conn", "zeek_case").replace("FROM sessions", "FROM zeek_cases")
    lake.sql(f"""CREATE OR REPLACE TEMPORARY TABLE zeek_cases AS SELECT * REPLACE ('tcp' AS protocol, {syns} AS syns,
        {syn_acks} AS syn_acks, '{close}' AS close, {values}) FROM sessions LIMIT 1""")
    lake.sql(text)
    assert answer(lake, "SELECT conn_state FROM zeek_case") == [{"conn_state": state}]


def test_zeek_counts_payload_and_names_services_as_zeek_does(lake: Any) -> None:
    lake.sql(VIEWS["zeek"])
    first = answer(lake, """SELECT * FROM zeek_conn WHERE conn_state = 'SF' AND proto = 'tcp' ORDER BY ts LIMIT 1""")[
        0
    ]
    assert (first["orig_bytes"], first["resp_bytes"]) == (100, 2896)
    assert (first["orig_pkts"], first["resp_pkts"]) == (6, 5)
    assert first["ts"] == pytest.approx(START_NS / 1e9, abs=0.01)
    services = {row["service"] for row in answer(lake, "SELECT DISTINCT service FROM zeek_conn")}
    assert services == {None, "dns"}
