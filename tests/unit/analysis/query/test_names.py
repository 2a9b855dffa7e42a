"""Sessions -> words for their endpoints and states."""

from ipaddress import ip_address

import numpy as np
import pytest

from capture.analysis.query.names import endpoints, states
from capture.arrays.cells import lines
from tests.unit.analysis.session_row import session

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
def test_the_state_of_a_session_in_words(fields: dict[str, int], words: str) -> None:
    assert lines(states(session(**fields))) == [words]
