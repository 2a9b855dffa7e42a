"""Packets between two clocks with a known offset -> the estimated offset, and its uncertainty."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.analysis.legs.clocks import MAX_RATE, Bounds
from capture.analysis.legs.polygon import inside

S, MS, US = 10**9, 10**6, 1000


def fitted(
    seed: int, seconds: float, ahead_ns: float, rate: float, delays_us: tuple[float, float], packets: int = 500
) -> tuple[Bounds, npt.NDArray[np.int64], npt.NDArray[np.floating]]:
    """(bounds, times, true offsets) of a second clock that is `ahead_ns` and gains at `rate`; delays random."""
    chance = np.random.default_rng(seed)
    bounds = Bounds()
    times = np.sort(chance.uniform(0, seconds * S, packets)).astype(np.int64)
    truth = ahead_ns + rate * times
    delay = chance.uniform(*delays_us, packets) * US
    there = chance.random(packets) < 0.5
    # What left the first clock's machine at `times` arrives late there; what arrives at `times` left earlier.
    bounds.add(times[there], np.round(truth + delay).astype(np.int64)[there], 1)
    bounds.add(times[~there], np.round(delay - truth).astype(np.int64)[~there], -1)
    return bounds, times, truth


@settings(deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    seconds=st.floats(0.01, 100),
    ahead_ns=st.floats(-1e15, 1e15),
    rate=st.floats(-MAX_RATE, MAX_RATE),
    least_us=st.floats(0, 1000),
    jitter_us=st.floats(0, 10_000),
)
def test_the_true_offset_is_within_the_uncertainty_for_any_drift(
    seed: int, seconds: float, ahead_ns: float, rate: float, least_us: float, jitter_us: float
) -> None:
    bounds, times, truth = fitted(seed, seconds, ahead_ns, rate, (least_us, least_us + jitter_us))
    offsets, uncertain = bounds.of(times)
    known = uncertain >= 0
    assert known.any()
    assert (np.abs(offsets - truth)[known] <= uncertain[known] + 2).all()


@pytest.mark.parametrize("ppm", [-100, 0, 20, 300])
def test_drift_within_a_window_costs_no_certainty(ppm: int) -> None:
    """A clock that gains 3 ms in ten seconds has the same uncertainty as one that gains nothing."""
    bounds, times, _ = fitted(1, 60, 5 * S, ppm / 1e6, (50, 150), packets=20_000)
    _, uncertain = bounds.of(times)
    assert 49 * US < np.median(uncertain) < 65 * US
    overall = bounds.overall(1, 0)
    assert overall is not None
    assert overall.drift_ppm == pytest.approx(ppm, abs=2)
    assert overall.offset_ns == pytest.approx(5 * S + ppm * 10_000, abs=120 * US + abs(ppm) * 10_000)


def test_packets_far_apart_leave_room_for_drift() -> None:
    """One each way, four seconds apart: between them the clock may have gained 500 ppm."""
    bounds = Bounds()
    bounds.add(np.array([1 * S]), np.array([10 * US]), 1)
    bounds.add(np.array([5 * S]), np.array([10 * US]), -1)
    offsets, uncertain = bounds.of(np.array([1 * S, 3 * S, 5 * S]))
    assert uncertain.tolist() == pytest.approx([1010 * US, 1010 * US, 1010 * US], abs=5)
    assert offsets.tolist() == pytest.approx([-1000 * US, 0, 1000 * US], abs=5)


def test_the_nearest_known_offset_is_used_where_none_is_known() -> None:
    bounds, _, _ = fitted(2, 10, 7 * MS, 0, (10, 20))
    offsets, uncertain = bounds.of(np.array([-3600 * S, 5 * S, 3600 * S]))
    assert uncertain[1] > 0
    assert uncertain[[0, 2]].tolist() == [-1, -1]
    assert offsets.tolist() == pytest.approx([7 * MS] * 3, abs=100 * US)


def test_no_line_fits_a_window_in_which_a_clock_was_set() -> None:
    bounds = Bounds()
    bounds.add(np.array([1 * S, 2 * S]), np.array([10 * US, 500 * MS]), 1)
    bounds.add(np.array([1 * S, 2 * S]), np.array([10 * US, -480 * MS]), -1)
    assert bounds.of(np.array([1 * S]))[1].tolist() == [-1]
    assert bounds.overall(1, 0) is None


def test_one_direction_gives_no_offset() -> None:
    bounds = Bounds()
    bounds.add(np.arange(5) * S, np.full(5, US), 1)
    assert bounds.of(np.array([S]))[1].tolist() == [-1]


def test_few_bounds_are_kept_of_many_packets() -> None:
    """Half a million in ten seconds, in parts: not more than a hundred from each side."""
    bounds = Bounds()
    for part in range(5):
        times = np.random.default_rng(part).integers(0, 10 * S, 100_000)
        for sign in (1, -1):
            bounds.add(times, np.full(len(times), 20 * US), sign)
    assert len(bounds._above.bounds()) == len(bounds._below.bounds()) == 100
    assert bounds.of(np.array([5 * S]))[1].tolist() == pytest.approx([20 * US], abs=200)


SQUARE = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 6.3), st.floats(-0.5, 1)), max_size=12), st.integers(0, 1 << 32))
def test_a_point_is_in_the_polygon_if_it_is_in_every_half_plane(cuts: list[tuple[float, float]], seed: int) -> None:
    normals = np.array([(np.cos(angle), np.sin(angle)) for angle, _ in cuts]).reshape(-1, 2)
    limits = np.array([limit for _, limit in cuts])
    corners = inside(SQUARE, normals, limits, 1e-9)
    points = np.random.default_rng(seed).uniform(-1, 1, (200, 2))
    slack = (limits - points @ normals.T).min(axis=1, initial=np.inf)
    # How far inside of each of the polygon's sides, which go round to the left.
    sides = np.roll(corners, -1, axis=0) - corners
    from_corner = points[:, np.newaxis] - corners
    left = sides[:, 0] * from_corner[..., 1] - sides[:, 1] * from_corner[..., 0]
    found = (left.min(axis=1) >= -1e-6) if len(corners) else np.zeros(len(points), bool)
    if len(corners):  # the sides of one that is hardly more than a point say nothing of what is far away
        found &= ((points >= corners.min(axis=0) - 1e-6) & (points <= corners.max(axis=0) + 1e-6)).all(axis=1)
    assert found[slack > 1e-4].all()
    assert not found[slack < -1e-4].any()
