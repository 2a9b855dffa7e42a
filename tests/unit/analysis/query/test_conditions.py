"""Conditions -> the sessions for which they are true."""

import numpy as np
import pytest

from capture.analysis.query.conditions import Filter
from capture.analysis.sessions.session_table import Handshake
from capture.errors import SpecError
from tests.unit.analysis.session_row import session

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
def test_a_filter_is_true_or_false_for_a_session(text: str, yes: dict[str, int], no: dict[str, int]) -> None:
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
        ("close<fin", "close can only be compared by = or !="),
        ("address=here", "'here' is not an address or network"),
        ("port>80", "port can only be compared by"),
    ],
)
def test_a_wrong_filter_is_reported(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Filter(text)
