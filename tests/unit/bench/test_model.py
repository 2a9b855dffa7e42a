"""Observed costs -> coefficients with their errors; and what they predict."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import frames, model
from bench.fit import fitted
from bench.workloads import HELD_OUT, TRAINING, Observed, Workload, matched
from capture.estimate.cost import price
from capture.estimate.costs import COEFFICIENTS, Cost, Costs
from capture.pcapng.blocks import packet_block_bytes
from tests import packets

ROWS = [[1.0, 0.0, size] for size in (64, 512, 1500)] + [[1.0, 1.0, size] for size in (64, 300, 1500)]


@given(st.tuples(st.floats(1, 100), st.floats(0, 100), st.floats(0.01, 1)))
def test_exact_costs_are_found_again(true: tuple[float, float, float]) -> None:
    found = fitted(ROWS, [sum(a * b for a, b in zip(row, true, strict=True)) for row in ROWS])
    assert found.values == pytest.approx(true, rel=1e-6, abs=1e-6)
    assert found.off == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 1 << 32))
@settings(max_examples=30)
def test_what_is_fitted_to_noisy_costs_is_as_far_off_as_its_error_says(seed: int) -> None:
    chance, true = np.random.default_rng(seed), np.array([30.0, 55.0, 0.2])
    rows = np.array(ROWS * 10)
    found = fitted(rows.tolist(), (rows @ true * chance.normal(1, 0.05, len(rows))).tolist())
    assert np.all(np.abs(found.values - true) < 6 * found.errors)
    assert np.all(found.errors < true / 2)
    assert found.off == pytest.approx(0.05, rel=0.5)


def test_a_cost_is_never_negative_and_the_others_make_up_for_it() -> None:
    found = fitted([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]], [10.0, 9.0, 8.0])
    assert found.values[1] == found.errors[1] == 0
    assert 8 < found.values[0] < 10


COSTS = Costs(
    **{name: Cost(ns) for name, ns in zip(COEFFICIENTS, (3e6, 33, 7, 55, 0.2, 1e7, 35, 0.4), strict=True)},
    source="made up",
)


def observed(workload: Workload) -> Observed:
    """What the costs above would come to."""
    rate, captured = workload.rate, workload.captured * workload.rate
    paid = price(
        COSTS, seen=rate, left_out=workload.matching * rate - captured, captured=captured,
        captured_bytes=captured * workload.size,
    )  # fmt: skip
    kernel, process = paid.kernel.of_cpu * 1e9 / rate, paid.process.of_cpu * 1e9
    return Observed(workload, rate, kernel, process, captured * packet_block_bytes(workload.size), 0)


def test_the_training_workloads_tell_all_costs_apart() -> None:
    found = model.fit([[observed(workload)] for workload in TRAINING], "made up")
    for name in COEFFICIENTS:
        assert getattr(found, name).ns == pytest.approx(getattr(COSTS, name).ns, rel=1e-6)


def test_a_prediction_that_is_right_is_off_by_nothing() -> None:
    rows = model.check([[observed(workload)] for workload in HELD_OUT], COSTS)
    assert [row[3::3] for row in rows] == [["+0%", "+0%", "+0%"]] * len(HELD_OUT)


def test_no_workload_is_both_used_and_held_out() -> None:
    assert not set(TRAINING) & set(HELD_OUT)


@pytest.mark.parametrize(
    ("matching", "sent", "expected"), [(1.0, 80, 80), (0.1, 160, 16), (0.1, 84, 12), (0.0, 9, 0)]
)
def test_conversations_that_match_take_their_turns(matching: float, sent: int, expected: int) -> None:
    assert matched(Workload(size=64, rate=1, matching=matching), sent) == expected


def test_a_frame_is_the_tests_own() -> None:
    assert frames.udp(64) == packets.udp("10.0.0.0", 1024, "10.200.0.1", 2000, bytes(22))
