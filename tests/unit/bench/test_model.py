"""Observed costs -> coefficients with their errors; and what they predict."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.model import HELD_OUT, check
from capture.benchmark import frames
from capture.benchmark.calibration import fit
from capture.benchmark.fit import fitted
from capture.benchmark.senders import BATCH
from capture.benchmark.workloads import FULL_SPEED, TRAINING, Observed, Workload
from capture.estimate.costs import COEFFICIENTS, Cost, Costs
from capture.estimate.price import price
from capture.pcapng.blocks import packet_block_bytes
from testbed import packets

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
    assert found.values[1] == 0 < found.errors[1]
    assert 8 < found.values[0] < 10


def test_what_is_left_of_all_choices_of_columns_is_least() -> None:
    rows = [[1.0, 2.0, 1.9], [2.0, 1.0, 1.2], [1.0, 1.0, 1.1]]
    observed = [2.1, 0.9, 1.1]
    found = fitted(rows, observed)
    chance = np.random.default_rng(1)
    least = np.linalg.norm(np.array(rows) @ found.values / observed - 1)
    for other in chance.exponential(0.5, (10_000, 3)) * chance.integers(0, 2, (10_000, 3)):
        assert np.linalg.norm(np.array(rows) @ other / observed - 1) >= least - 1e-12


COSTS = Costs(
    **{name: Cost(ns) for name, ns in zip(COEFFICIENTS, (3e6, 33, 7, 55, 0.2, 1e7, 35, 0.4), strict=True)},
    kernel_off=0,
    process_off=0,
    source="made up",
)


def observed(workload: Workload) -> Observed:
    """What the costs above would come to."""
    rate = workload.rate or 3_000_000
    captured = workload.captured * rate
    kept = captured * workload.captured_bytes
    paid = price(
        COSTS, seen=rate, left_out=workload.matching * rate - captured, captured=captured,
        captured_bytes=kept,
    )  # fmt: skip
    kernel, process = paid.kernel.of_cpu * 1e9 / rate, paid.process.of_cpu * 1e9
    return Observed(workload, rate, kernel, process, captured * packet_block_bytes(workload.captured_bytes), 0)


def test_the_training_workloads_tell_all_costs_apart() -> None:
    found = fit([[observed(workload)] for workload in TRAINING], "made up")
    for name in COEFFICIENTS:
        assert getattr(found, name).ns == pytest.approx(getattr(COSTS, name).ns, rel=1e-6)


def test_a_run_too_short_to_count_time_costs_nothing() -> None:
    found = fit([[replace(observed(workload), kernel_ns=0, process_ns=0)] for workload in TRAINING], "made up")
    assert all(0 <= getattr(found, name).ns < 1e4 for name in COEFFICIENTS)


def test_a_prediction_that_is_right_is_off_by_nothing() -> None:
    rows = check([[observed(workload)] for workload in HELD_OUT], COSTS)
    assert [row[3::3] for row in rows] == [["+0%", "+0%", "+0%"]] * len(HELD_OUT)


def test_no_workload_is_both_used_and_held_out() -> None:
    assert not set(TRAINING) & set(HELD_OUT)


@pytest.mark.parametrize("workload", [*TRAINING, *HELD_OUT], ids=str)
@pytest.mark.parametrize("ring", [1 << 20, 8 << 20, 64 << 20])
def test_a_burst_is_whole_batches_that_a_ring_holds_unless_no_rate_is_held(workload: Workload, ring: int) -> None:
    burst = workload.burst(ring)
    assert burst % BATCH == 0 < burst
    records = burst * workload.seen_each * (workload.captured_bytes + 64)
    assert records <= ring or workload.rate == FULL_SPEED


def test_a_frame_is_the_tests_own() -> None:
    assert frames.udp(64) == packets.udp("10.0.0.0", 1024, "10.200.0.1", 2000, bytes(22))
