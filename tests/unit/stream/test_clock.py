"""The time from which a record is final, and the wall-clock time that it gets."""

from capture.stream.clock import SETTLE_NS, STEP_NS, ClockStep, Rounds, WallClock, wall_offset

S = 10**9


def test_the_tightest_reading_counts() -> None:
    assert wall_offset([(0, 5_000, 90), (100, 1_010_104, 108), (200, 7, 900)]) == 1_010_000


def test_a_forward_step_is_followed_at_once() -> None:
    clock = WallClock(100 * S)
    clock.measured(103 * S, at_ns=5)
    assert clock.offset_ns == 103 * S
    assert clock.steps == [ClockStep(5, 3 * S, followed=True)]


def test_a_backward_step_waits_for_the_next_file() -> None:
    clock = WallClock(100 * S)
    clock.measured(90 * S, at_ns=5)
    clock.measured(90 * S, at_ns=6)
    assert clock.offset_ns == 100 * S
    assert clock.steps == [ClockStep(5, -10 * S, followed=False)]
    clock.new_file()
    assert clock.offset_ns == 90 * S


def test_a_step_forward_within_an_earlier_step_backward_is_not_followed() -> None:
    clock = WallClock(100 * S)
    clock.measured(90 * S, at_ns=5)
    clock.measured(95 * S, at_ns=6)
    assert clock.offset_ns == 100 * S
    assert [step.step_ns for step in clock.steps] == [-10 * S, 5 * S]


def test_the_error_of_a_measurement_is_not_a_step() -> None:
    clock = WallClock(0)
    clock.measured(STEP_NS - 1, at_ns=1)
    assert clock.offset_ns == 0
    assert clock.steps == []


def test_records_are_final_that_are_older_than_an_earlier_round() -> None:
    rounds = Rounds()
    assert rounds.final_before(1 * S) == 0
    assert rounds.final_before(1 * S + 10) == 0
    assert rounds.final_before(1 * S + SETTLE_NS) == 1 * S
    assert rounds.final_before(1 * S + SETTLE_NS + 9) == 1 * S
    assert rounds.final_before(1 * S + SETTLE_NS + 10) == 1 * S + 10
