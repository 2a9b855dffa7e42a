"""Columns of numbers and words -> the same lines as by formatting them one by one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.arrays.cells import (
    Cells,
    aligned,
    beside,
    cut,
    durations,
    each,
    lines,
    numbers,
    scattered,
    sizes,
    text,
    where,
    words,
)
from capture.units import DURATION_UNITS, SIZE_UNITS, format_duration, format_size

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
EDGES = [int(unit.below / part) for unit in (*DURATION_UNITS, *SIZE_UNITS[:-1]) for part in (1, 2, 10, 100, 1000)]
ROUND = st.builds(lambda digits, zeros: digits * 10**zeros, st.integers(0, 10**5), st.integers(0, 12))
EVEN = st.builds(lambda digits, zeros: digits << zeros, st.integers(0, 1 << 14), st.integers(0, 45))
AMOUNTS = st.one_of(INT64, ROUND, EVEN, st.builds(int.__add__, st.sampled_from(EDGES), st.integers(-600, 600)))

FORMATS: list[tuple[Callable[[Any], Cells], Callable[[int], str]]] = [
    (durations, format_duration),
    (sizes, format_size),
]


@pytest.mark.parametrize(("column", "one"), FORMATS)
@given(st.lists(AMOUNTS, min_size=1, max_size=50))
def test_amounts_are_written_as_one_by_one(
    column: Callable[[Any], Cells], one: Callable[[int], str], amounts: list[int]
) -> None:
    assert lines(column(np.array(amounts, np.int64))) == [one(amount) for amount in amounts]


@pytest.mark.slow
@pytest.mark.parametrize(("column", "one"), FORMATS)
def test_amounts_around_every_change_of_unit_and_half_way_between_two_texts(
    column: Callable[[Any], Cells], one: Callable[[int], str]
) -> None:
    amounts = np.concatenate([np.arange(edge - 600, edge + 600) for edge in EDGES] + [np.arange(120_000)])
    assert lines(column(amounts)) == [one(amount) for amount in amounts.tolist()]


@given(st.lists(st.integers(0, (1 << 63) - 1), min_size=1), st.integers(1, 20))
def test_numbers_have_at_least_so_many_digits(values: list[int], least: int) -> None:
    assert lines(numbers(np.array(values), least)) == [f"{value:0{least}d}" for value in values]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), max_size=20)


@given(st.lists(TEXTS, min_size=1), st.integers(-30, 30))
def test_texts_are_padded_as_by_format(texts: list[str], width: int) -> None:
    assert lines(aligned(words(texts), width)) == [f"%{width}s" % text for text in texts]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), INT64), min_size=1))
def test_a_text_is_made_once_for_equal_values(rows: list[tuple[int, int, int]]) -> None:
    def word(*values: int) -> str:
        return "-".join(str(value) for value in values)

    assert lines(each(word, *np.array(rows).T)) == [word(*row) for row in rows]


def test_parts_are_put_together() -> None:
    even = np.arange(4) % 2 == 0
    both = beside("<", words(["a", "bcd", "", "µ"]), "> ", where(even, numbers(np.arange(4))), where(~even, "odd"))
    assert text(beside(both, "\n")) == "<a> 0\n<bcd> odd\n<> 2\n<µ> odd\n"
    parts = (np.array([3, 0]), words(["three", "none"])), (np.array([1]), words(["one"]))
    assert lines(scattered(4, *parts)) == ["none", "one", "", "three"]


def test_no_rows() -> None:
    nothing = np.zeros(0, np.int64)
    columns = (words([]), numbers(nothing), durations(nothing), sizes(nothing), each(str, nothing), scattered(0))
    assert [lines(column) for column in columns] == [[]] * len(columns)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12), min_size=1), st.integers(1, 12))
def test_text_that_is_too_long_is_cut_and_ends_with_an_ellipsis(texts: list[str], width: int) -> None:
    expected = [one if len(one) <= width else one[: width - 1] + "…" for one in texts]
    assert lines(cut(words(texts), width)) == expected
    assert lines(cut(beside("", words(texts), ""), width)) == expected
