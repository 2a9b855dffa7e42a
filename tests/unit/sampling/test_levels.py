"""Measures in an order -> levels, and the text of each level."""

import pytest

from capture.sampling.levels import HALVES, OnPressure, PressureLevels, pressure_levels

TRUNCATE, SAMPLE, LOSE = OnPressure.TRUNCATE, OnPressure.SAMPLE, OnPressure.LOSE

LEVELS = [
    # measures, the level from which payload is cut, from which flows are sampled, the highest
    ([], 0, 0, 0),
    ([LOSE], 0, 0, 0),
    ([TRUNCATE], 1, 0, 1),
    ([SAMPLE], 0, 1, HALVES),
    ([TRUNCATE, SAMPLE], 1, 2, HALVES + 1),
    ([SAMPLE, TRUNCATE], HALVES + 1, 1, HALVES + 1),
    ([TRUNCATE, SAMPLE, LOSE], 1, 2, HALVES + 1),
]


@pytest.mark.parametrize(("measures", "cuts_from", "samples_from", "top"), LEVELS)
def test_levels_follow_the_order_of_the_measures(
    measures: list[OnPressure], cuts_from: int, samples_from: int, top: int
) -> None:
    levels = pressure_levels(measures)
    assert levels == PressureLevels(cuts_from, samples_from)
    assert levels.top == top


WORDS = [
    # measures, share of conversations asked for, level, what it says
    ([TRUNCATE, SAMPLE], 1.0, 0, "everything again"),
    ([TRUNCATE, SAMPLE], 1.0, 1, "headers only"),
    ([TRUNCATE, SAMPLE], 1.0, 2, "headers only and 0.5 of conversations"),
    ([TRUNCATE, SAMPLE], 1.0, 7, "headers only and 0.0156 of conversations"),
    ([TRUNCATE, SAMPLE], 0.1, 3, "headers only and 0.025 of conversations"),
    ([SAMPLE, TRUNCATE], 1.0, 1, "0.5 of conversations"),
    ([SAMPLE, TRUNCATE], 1.0, 6, "0.0156 of conversations"),
    ([SAMPLE, TRUNCATE], 1.0, 7, "headers only and 0.0156 of conversations"),
    ([TRUNCATE], 0.1, 1, "headers only"),
    ([SAMPLE], 1.0, 2, "0.25 of conversations"),
]


@pytest.mark.parametrize(("measures", "share", "level", "words"), WORDS)
def test_what_a_level_means(measures: list[OnPressure], share: float, level: int, words: str) -> None:
    assert pressure_levels(measures).words(level, share) == words
