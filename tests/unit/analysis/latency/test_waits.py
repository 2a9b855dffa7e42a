"""Samples -> distributions, to 0.4 %; sessions -> samples left out, and the side of the wait."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.analysis.latency.histogram import bucket, middle
from capture.analysis.latency.waits import Latency
from capture.analysis.sessions.session_table import SAMPLE, Measure
from tests.unit.analysis.session_row import session

MS = 1_000_000
NOTHING = session()[:0]


def samples(*durations_ns: int, measure: Measure = Measure.ACKNOWLEDGMENT, side: int = 1) -> np.ndarray:  # type: ignore[type-arg]
    rows = np.zeros(len(durations_ns), SAMPLE)
    rows["duration_ns"], rows["measure"], rows["side"] = durations_ns, measure, side
    return rows


def test_a_distribution_per_measure_and_side() -> None:
    found = Latency()
    found.add(NOTHING, samples(*(i * MS for i in range(1, 101))))
    found.add(NOTHING, samples(5, measure=Measure.DNS, side=0))
    server, dns = found.distributions()
    assert (server.measure, server.side, server.count) == ("acknowledgment", "server", 100)
    assert (server.min_ns, server.max_ns) == (MS, 100 * MS)
    expected = pytest.approx((50 * MS, 90 * MS, 99 * MS), rel=0.004)
    assert (server.median_ns, server.p90_ns, server.p99_ns) == expected
    assert (dns.min_ns, dns.median_ns, dns.p99_ns, dns.max_ns) == (5, 5, 5, 5)


@given(st.lists(st.integers(0, 1 << 62), min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.99]))
def test_quantiles_are_those_of_the_sorted_samples(durations: list[int], share: float) -> None:
    found = Latency()
    found.add(NOTHING, samples(*durations))
    (one,) = found.distributions()
    exact = sorted(durations)[int(np.ceil(share * len(durations))) - 1]
    value = {0.5: one.median_ns, 0.9: one.p90_ns, 0.99: one.p99_ns}[share]
    assert value == pytest.approx(exact, rel=0.004)


@given(st.lists(st.integers(0, 1 << 52), min_size=2, max_size=50))
def test_buckets_keep_the_order_and_contain_their_durations(durations: list[int]) -> None:
    ordered = np.array(sorted(durations), np.int64)
    steps = bucket(ordered)
    assert (np.diff(steps) >= 0).all()
    assert [middle(int(step)) for step in steps] == pytest.approx(ordered.tolist(), rel=0.004)


WAITS = [
    # of a TCP session -> the sentence
    (
        {"server_ns": 30 * MS, "client_ns": 10 * MS},
        "75% of the wait is on the server side (30 ms in all), 25% on the client side",
    ),
    (
        {"server_ns": -1, "client_ns": -1, "requests": 4, "first_byte_sum_ns": 20 * MS, "client_rtt_count": 2,
         "client_rtt_sum_ns": 30 * MS},
        "75% of the wait is on the client side (60 ms in all), 25% on the server side",
    ),
    (
        {"protocol": 17, "first_byte_sum_ns": MS},
        "no handshake or request of a TCP session was seen, so no wait was measured",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "sentence"), WAITS)
def test_the_wait_is_attributed_to_a_side(fields: dict[str, int], sentence: str) -> None:
    found = Latency()
    found.add(session(**fields), samples())
    assert found.sentence == sentence


def test_samples_that_are_left_out_are_counted() -> None:
    found = Latency()
    found.add(
        session(client_rtt_ambiguous=1, server_rtt_ambiguous=2, server_rtt_unsampled=3, unanswered=4, repeated=5),
        samples(),
    )
    found.add(session(syns=2, syn_acks=2, ack_packet=7, server_ns=-1), samples())
    assert found.left_out == {
        "ambiguous": 3,
        "unsampled": 3,
        "handshakes_ambiguous": 2,
        "questions_repeated": 5,
        "questions_unanswered": 4,
    }
