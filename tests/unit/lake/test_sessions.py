"""Tables of sessions -> columns of the lake: the same numbers as in JSON, NULL for none, and what the file says."""

from ipaddress import ip_address
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from capture.analysis.packets.completeness import Completeness
from capture.analysis.query.columns import COLUMNS, flat
from capture.analysis.sessions.session_table import SESSION, Handshake
from capture.arrays.aliases import Table
from capture.arrays.texts import TEXTS
from capture.lake.common import TableRows
from capture.lake.lake_sessions import SESSIONS
from capture.lake.writing import batch_of
from tests.unit.analysis.session_row import session
from tests.unit.lake.capture_origin import interface, rows

_HANDSHAKES, _CLOSES, _ROLES = 11, 8, 3


def batch(given: TableRows) -> Any:
    found = batch_of(SESSIONS.columns, SESSIONS.arrow(), given)
    found.validate(full=True)
    return found


def row(table: Table, **settings: Any) -> dict[str, Any]:
    (found,) = batch(rows(table, **settings)).to_pylist()
    return dict(found)


def random_sessions(count: int) -> Table:
    """TableRows with any numbers in their fields, as far as they are numbers of words that exist."""
    chance = np.random.default_rng(24)
    table = np.zeros(count, SESSION)
    for name in SESSION.names or ():
        if name in ("client", "server"):
            for inner in SESSION[name].names or ():
                table[name][inner] = chance.integers(0, 1 << 20, count) * chance.integers(0, 2, count)
        else:
            most = 1 << 8 * min(SESSION[name].itemsize, 3)
            table[name] = chance.integers(0, most, count) * chance.integers(0, 2, count)
    words = [TEXTS.number(word) for word in ("", "http", "dns", "tls")]
    events = [TEXTS.number(text) for text in ("", "dropped NETFILTER_DROP (policy) at nft_do_chain")]
    for name, choices in {
        "family": (4, 6), "protocol": (6, 17, 1, 132), "role": range(_ROLES), "handshake": range(_HANDSHAKES),
        "close": range(_CLOSES), "interface": (0, 1), "application": words, "server_name": words, "alpn": words,
        "http_method": words, "http_host": words, "http_path": words, "dns_name": words, "tls_alert_side": (0, 1, 2),
        "drop_event": events, "reset_event": events,
    }.items():  # fmt: skip
        table[name] = chance.choice(choices, count)
    for name in ("server_ns", "client_ns", "reset_after_ns"):
        table[name] -= 1
    return table


def test_each_column_that_json_has_too_has_the_same_values_or_null_for_none() -> None:
    table, interfaces = random_sessions(200), [interface("eth0"), interface()]
    as_json = flat(table, interfaces)
    found = batch(rows(table, interfaces=interfaces)).to_pydict()
    assert set(COLUMNS) <= set(found)
    nulls = set()
    for name, values in as_json.items():
        for ours, theirs in zip(found[name], values, strict=True):
            assert ours == theirs or (ours is None), name
            nulls |= {name} if ours is None else set()
            assert not (theirs in (-1, "") and ours is not None), f"{name}: {theirs!r} stands for none"
    assert {"rst_packet", "handshake", "client_rtt_mean_ns", "http_status", "client_port"} <= nulls
    assert not {"session", "start_ns", "packets", "client_retransmitted", "close"} & nulls


def test_its_types_are_those_that_engines_read() -> None:
    kinds = {column.type for column in SESSIONS.columns}
    assert not any(pa.types.is_unsigned_integer(kind) for kind in kinds)
    assert {kind.unit for kind in kinds if pa.types.is_timestamp(kind)} == {"us"}
    assert len({column.name for column in SESSIONS.columns}) == len(SESSIONS.columns)
    schema = SESSIONS.arrow()
    assert schema.metadata == {b"bicap.table": b"sessions", b"bicap.schema_version": b"1"}
    assert schema.field("duration_ns").metadata[b"unit"] == b"ns"


def test_times_are_microseconds_and_ns_before_1970_too() -> None:
    found = row(session(first_ns=1_700_000_000_123_456_789, last_ns=1_700_000_001_123_456_789))
    assert found["start"].isoformat() == "2023-11-14T22:13:20.123456+00:00"
    assert (found["start_ns"], found["duration_ns"]) == (1_700_000_000_123_456_789, 10**9)
    assert found["date"].isoformat() == "2023-11-14"
    early = row(session(first_ns=-1))
    assert (early["date"].isoformat(), early["start"].microsecond) == ("1969-12-31", 999_999)


POD = "pod shop/web-0, UID 12-ab, labels app=web,tier=front, node n1, host interface veth1, ifindex 7; to the pod"


def test_the_file_says_node_pods_and_labels_of_each_side() -> None:
    names = {ip_address("10.0.0.1"): "shop/web-0", ip_address("10.0.0.2"): "n2"}
    found = row(session(interface=1), interfaces=[interface("x"), interface("shop/web-0:eth0", POD)], names=names)
    assert found["node"] == "n1"
    assert [found[f"client_{name}"] for name in ("namespace", "pod", "host_name")] == ["shop", "web-0", None]
    assert found["client_labels"] == [("app", "web"), ("tier", "front")]
    assert [found[f"server_{name}"] for name in ("namespace", "pod", "host_name", "labels")] == [
        None,
        None,
        "n2",
        None,
    ]


@pytest.mark.parametrize(
    ("text", "node", "labels"),
    [
        ("process 7, node n3, caught inside, ifindex 2; inbound is to the pod", "n3", None),
        ("hostNetwork of a/b; node n4, interface eth0, ifindex 2; only packets", "n4", None),
        ("a card of somebody", "given", None),
        ("", "given", None),
        ("pod shop/web-0, UID u, labels none, node n1, caught inside, ifindex 3; x", "n1", []),
        ("pod shop/web-0, UID u, labels a=1,b=long..., node n1, caught inside, ifindex 3; x", "n1", [("a", "1")]),
    ],
)
def test_a_description_says_the_node_or_the_option_does(
    text: str, node: str, labels: list[tuple[str, str]] | None
) -> None:
    names = {ip_address("10.0.0.1"): "shop/web-0"}
    found = row(session(), interfaces=[interface("x", text)], names=names, node="given")
    assert (found["node"], found["client_labels"]) == (node, labels)


def test_what_the_capture_lost_is_said_and_unknown_is_null() -> None:
    found = row(session(), completeness=Completeness(known=True, lost=3))
    assert (found["capture_complete"], found["capture_lost"], found["capture"]) == (False, 3, "web.pcapng")
    unknown = row(session())
    assert (unknown["capture_complete"], unknown["capture_lost"], unknown["node"]) == (None, None, None)
    assert row(session(), completeness=Completeness(known=True))["capture_complete"] is True


def test_a_sentence_stands_beside_the_verdict() -> None:
    found = row(
        session(handshake=Handshake.COMPLETE, syns=1, syn_acks=1, syn_packet=1, syn_ack_packet=2, ack_packet=3)
    )
    assert (found["handshake"], found["handshake_words"]) == ("complete", "complete (packets 1, 2, 3)")


def test_no_sessions_are_a_batch_without_rows() -> None:
    assert batch(rows(np.zeros(0, SESSION))).num_rows == 0
