"""Sessions -> words and columns; what a file says of itself -> what a gap may mean; filters and sorting."""

import json
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from capture.analysis.packets.completeness import Completeness, completeness
from capture.analysis.query.columns import COLUMNS, flat
from capture.analysis.query.conditions import Filter
from capture.analysis.query.names import endpoints, states
from capture.analysis.query.sorting import Spool, sort_key
from capture.analysis.sessions.session_table import SESSION, Handshake
from capture.arrays.aliases import Table
from capture.arrays.cells import lines
from capture.errors import SpecError
from capture.pcapng.blocks import InterfaceStatistics, section_header
from capture.pcapng.describe import InterfaceDescription
from capture.views.handshakes import handshake_sentences

LOW64 = (1 << 64) - 1


def session(**fields: int) -> Table:
    """One row; `client.packets` is given as client_packets where SESSION has no such field itself."""
    table = np.zeros(1, SESSION)
    defaults = {"protocol": 6, "family": 4, "client_low": 0x0A000001, "server_low": 0x0A000002, "server_port": 80}
    for name, value in (defaults | fields).items():
        side, _, rest = name.partition("_")
        if name in (SESSION.names or ()):
            table[name] = value
        else:
            table[side][rest] = value
    return table


LOST, COMPLETE = Completeness(known=True, lost=3), Completeness(known=True)
SENTENCES = [
    ({"protocol": 17}, ""),
    (
        {"handshake": Handshake.COMPLETE, "syn_packet": 1, "syn_ack_packet": 2, "ack_packet": 5, "syns": 1,
         "syn_acks": 2},
        "complete (packets 1, 2, 5; 1 repetition)",
    ),
    (
        {"handshake": Handshake.UNANSWERED, "syns": 3, "syn_packet": 4, "syn_last_ns": 3 * 10**9},
        "SYN unanswered (from packet 4, 2 retries over 3.0 s); in the capture 3 packets were lost",
    ),
    (
        {"handshake": Handshake.UNREACHABLE, "syn_packet": 1, "icmp_packet": 2, "icmp_type": 3, "icmp_code": 1,
         "icmp_low": 0x0A000009},
        "unreachable: destination-unreachable/host-unreachable from 10.0.0.9 (packets 1, 2)",
    ),
    (
        {"handshake": Handshake.COMPLETE, "syn_packet": 1, "syn_ack_packet": 2, "ack_packet": 3, "syns": 1,
         "syn_acks": 1},
        "complete (packets 1, 2, 3)",
    ),
    (
        {"handshake": Handshake.COMPLETE, "syn_ack_packet": 2, "ack_packet": 3, "syn_acks": 4},
        "complete (packets 2, 3; 2 repetitions)",
    ),
    (
        {"handshake": Handshake.UNANSWERED, "syns": 2, "syn_packet": 4, "syn_ns": 5, "syn_last_ns": 10**9 + 5},
        "SYN unanswered (from packet 4, 1 retry over 1.0 s); in the capture 3 packets were lost",
    ),
    (
        {"handshake": Handshake.REFUSED, "syn_packet": 1, "rst_packet": 2, "syn_last_ns": 10, "rst_ns": 1510},
        "refused by RST after 1.5 µs (packets 1, 2)",
    ),
    (
        {"handshake": Handshake.UNACKNOWLEDGED, "syn_acks": 1, "syn_ack_packet": 1234567},
        "SYN-ACK sent 1 time, never acknowledged (from packet 1234567)",
    ),
    (
        {"handshake": Handshake.UNACKNOWLEDGED, "syn_acks": 6, "syn_ack_packet": 2},
        "SYN-ACK sent 6 times, never acknowledged (from packet 2)",
    ),
    (
        {"handshake": Handshake.ACK_LOST, "ack_packet": 3},
        "acknowledged (packet 3), but the server repeats its SYN-ACK: the ACK was lost behind this point",
    ),
    (
        {"handshake": Handshake.ABORTED, "syn_ack_packet": 2, "rst_packet": 3},
        "the client answered the SYN-ACK with RST (packets 2, 3)",
    ),
    (
        {"handshake": Handshake.RESET_AT_ONCE, "ack_packet": 3, "rst_packet": 4, "server_rst_packet": 4,
         "rst_ns": 2 * 10**6},
        "complete, then reset by the server after 2 ms (packets 3, 4)",
    ),
    (
        {"handshake": Handshake.RESET_AT_ONCE, "ack_packet": 3, "rst_packet": 4, "client_rst_packet": 4},
        "complete, then reset by the client after 0 ns (packets 3, 4)",
    ),
    ({"handshake": Handshake.STARTED_BEFORE}, "started before the capture"),
    (
        {"handshake": Handshake.NOT_CAPTURED, "server_packets": 5},
        "packets of the client are not in the file; in the capture 3 packets were lost",
    ),
    (
        {"handshake": Handshake.NOT_CAPTURED, "server_packets": 5, "client_packets": 5},
        "packets of the handshake are not in the file; in the capture 3 packets were lost",
    ),
    (
        {"handshake": Handshake.NOT_CAPTURED, "client_packets": 5},
        "packets of the server are not in the file; in the capture 3 packets were lost",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), SENTENCES)
def test_a_verdict_is_a_sentence_with_its_evidence(fields: dict[str, int], words: str) -> None:
    assert lines(handshake_sentences(session(**fields), LOST)) == [words]


def test_a_complete_capture_leaves_no_doubt_about_an_unanswered_syn() -> None:
    found = session(handshake=Handshake.UNANSWERED, syns=1, syn_packet=4)
    assert lines(handshake_sentences(found, COMPLETE)) == ["SYN unanswered (from packet 4, not repeated)"]


def test_every_session_of_a_table_has_its_own_sentence() -> None:
    table = np.concatenate([session(**fields) for fields, _ in SENTENCES])
    assert lines(handshake_sentences(table, LOST)) == [words for _, words in SENTENCES]


ENDPOINTS = [
    ({"client_port": 4000}, "10.0.0.1:4000"),
    ({"protocol": 1}, "10.0.0.1"),
    ({"family": 6, "client_high": -(3 << 56), "client_low": 1, "client_port": 4000}, "[fd00::1]:4000"),
]


@pytest.mark.parametrize(("fields", "words"), ENDPOINTS)
def test_an_endpoint_in_words(fields: dict[str, int], words: str) -> None:
    assert lines(endpoints(session(**fields), "client")) == [words]


NAMES = {ip_address("10.0.0.1"): "web", ip_address("fd00::1"): "default/db-0"}
NAMED = [
    ({"client_port": 4000}, "web:4000"),
    ({"protocol": 1}, "web"),
    ({"client_low": 0x0A000003, "client_port": 4000}, "10.0.0.3:4000"),
    ({"family": 6, "client_high": -(3 << 56), "client_low": 1, "client_port": 4000}, "default/db-0:4000"),
    ({"family": 6, "client_high": -(3 << 56), "client_low": 2, "client_port": 65535}, "[fd00::2]:65535"),
]


def test_endpoints_by_the_names_that_the_file_has() -> None:
    table = np.concatenate([session(**fields) for fields, _ in NAMED])
    assert lines(endpoints(table, "client", NAMES)) == [words for _, words in NAMED]


STATES = [
    ({"syns": 1}, "syn-sent"),
    ({"syns": 1, "syn_acks": 1}, "syn-received"),
    ({"syns": 1, "syn_acks": 1, "ack_packet": 3}, "established"),
    ({"client_fin_packet": 3}, "closing"),
    ({"client_fin_packet": 3, "server_fin_packet": 4}, "closed"),
    ({"client_fin_packet": 3, "rst_packet": 4}, "reset"),
    ({"protocol": 17, "client_packets": 1}, "one-way"),
    ({"protocol": 17, "client_packets": 1, "server_packets": 1}, "two-way"),
]


@pytest.mark.parametrize(("fields", "words"), STATES)
def test_where_a_session_stands(fields: dict[str, int], words: str) -> None:
    assert lines(states(session(**fields))) == [words]


FILTERS = [
    # condition, fields of a session for which it holds, fields for which it does not
    ("protocol=tcp", {}, {"protocol": 17}),
    ("protocol != tcp", {"protocol": 17}, {}),
    ("handshake=refused", {"handshake": Handshake.REFUSED}, {"handshake": Handshake.COMPLETE}),
    ("bytes>=1KiB", {"client_bytes": 1000, "server_bytes": 24}, {"client_bytes": 1023}),
    ("duration>1s", {"last_ns": 10**9 + 1}, {"last_ns": 10**9}),
    ("server_handshake_ns<5ms", {"server_ns": 4_999_999}, {"server_ns": 5_000_000}),
    ("client_rtt_mean_ns=-1", {}, {"client_rtt_count": 1}),
    ("port=80", {}, {"server_port": 81, "client_port": 8}),
    ("port!=80", {"server_port": 81}, {}),
    ("address=10.0.0.2", {}, {"server_low": 3}),
    ("address=10.0.0.0/31", {"server_low": 0}, {"client_low": 0x0A000002}),
    ("client=fd00::/9", {"family": 6, "client_high": -(3 << 56)}, {"family": 6, "client_high": 1}),
    ("server=::/0", {"family": 6}, {}),
    ("address!=10.0.0.0/8", {"client_low": 1, "server_low": 2}, {"server_low": 2}),
]


@pytest.mark.parametrize(("text", "yes", "no"), FILTERS)
def test_a_filter_holds_or_not(text: str, yes: dict[str, int], no: dict[str, int]) -> None:
    table = np.concatenate([session(**yes), session(**no)])
    assert Filter(text)(table).tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tcp", "write COLUMN=VALUE"),
        ("colour=red", "there is no column colour"),
        ("pickets>1", "there is no column pickets"),
        ("bytes>many", "bytes 'many' is not understood"),
        ("duration>soon", "duration_ns 'soon' is not understood"),
        ("close<fin", "close has words, which are compared by = or !="),
        ("address=here", "'here' is no address or network"),
        ("port>80", "port is of either side"),
    ],
)
def test_a_wrong_filter_is_told(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Filter(text)


def test_every_column_has_a_value_per_session_and_interfaces_have_their_names() -> None:
    table = np.concatenate([session(interface=1), session(interface=0, protocol=99)])
    columns = flat(table, [InterfaceDescription(1), InterfaceDescription(1, name="eth0")])
    assert set(columns) == set(COLUMNS)
    assert {len(values) for values in columns.values()} == {2}
    assert (columns["interface"], columns["protocol"]) == (["eth0", "0"], ["tcp", "99"])
    json.dumps(columns)


@pytest.mark.parametrize(
    ("key", "order"), [("packets", [2, 3, 1]), ("-packets", [1, 2, 3]), ("start", [3, 2, 1]), ("-start", [1, 2, 3])]
)
def test_sorting_is_by_the_column_then_by_first_packets(key: str, order: list[int]) -> None:
    packets = {1: 9, 2: 5, 3: 5}
    with Spool(*sort_key(key)) as spool:
        for number in (3, 1, 2):
            spool.add(session(session=number, client_packets=packets[number], first_ns=100 - number))
        found = np.concatenate(list(spool.in_order()))
    assert found["session"].tolist() == order


@pytest.mark.parametrize("key", ["nothing", "client", "-handshake", ""])
def test_a_wrong_sort_key_is_told(key: str) -> None:
    with pytest.raises(SpecError, match="is no column of numbers"):
        sort_key(key)


def test_nothing_is_known_of_a_file_that_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(section_header(hardware="", os="", application="", comment=""))
    assert completeness(str(tmp_path / "f")) == Completeness()
    assert completeness("-") == Completeness()


def test_statistics_at_the_end_say_what_was_lost(tmp_path: Path) -> None:
    blocks = [InterfaceStatistics(i, 0, 0, 10, 10, dropped=2 + i, delivered=8).encode() for i in range(2)]
    start = section_header(hardware="", os="", application="", comment="")
    (tmp_path / "f").write_bytes(start + b"".join(blocks))
    assert completeness(str(tmp_path / "f")) == Completeness(known=True, lost=5)


NO_SUMMARIES = [
    "",
    "null",
    "[" * 100_000,
    '{"account": 1, "spec": {"direction": "both"}}',
    *(
        f'{{"account": {{"lost": {lost}, "sampled_out": 0, "over_limit": 0}}, "spec": {{"direction": {direction}}}}}'
        for lost, direction in (
            ("Infinity", '"both"'),
            ("NaN", '"both"'),
            ('"many"', '"both"'),
            ("0", '"sideways"'),
            ("0", '"\\ud800"'),
            ("0", "[]"),
        )
    ),
]


@pytest.mark.parametrize("content", NO_SUMMARIES, ids=range(len(NO_SUMMARIES)))
def test_what_is_no_summary_of_ours_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "f.json").write_text(content)
    assert completeness(str(tmp_path / "f")) == Completeness()


def test_the_summary_beside_the_file_says_more(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    account = {"lost": 1, "sampled_out": 2, "over_limit": 3}
    (tmp_path / "f.json").write_text(json.dumps({"account": account, "spec": {"direction": "forward"}}))
    found = completeness(str(tmp_path / "f"))
    assert found == Completeness(True, 1, 2, 3, "forward")
    assert str(found) == (
        "in the capture 1 packet was lost, 2 packets were sampled out, 3 packets were over the limit, "
        "only the forward direction was captured"
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"account": 1, "spec": {"direction": "both"}}', "\0"])
def test_a_summary_that_is_none_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "f.json").write_text(text)
    assert completeness(str(tmp_path / "f")) == Completeness()
