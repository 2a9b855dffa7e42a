"""Rows of tables -> copies, runs of fields, distinct rows: the same as by numpy's functions for records."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.analysis.sessions.open_table import EVIDENCE_FIELDS, OPEN_SESSION, OPEN_SIDE, SIDE_FIELDS, SPAN_FIELDS
from capture.analysis.sessions.session_table import SAMPLE, SESSION
from capture.arrays.aliases import Table
from capture.arrays.rows import alike, as_numbers, picked, run


def random_rows(dtype: np.dtype[np.void], count: int) -> Table:
    return np.frombuffer(np.random.default_rng(1).bytes(dtype.itemsize * count), dtype).copy()


@pytest.mark.parametrize("dtype", [SESSION, OPEN_SESSION, OPEN_SIDE, SAMPLE])
def test_rows_at_places_and_by_a_mask(dtype: np.dtype[np.void]) -> None:
    rows = random_rows(dtype, 20)
    places, mask = np.array([19, 3, 3, 0]), np.arange(20) % 3 == 0
    assert (picked(rows, places) == rows[places]).all()
    assert (picked(rows[::2], mask[:10]) == rows[::2][mask[:10]]).all()
    assert len(picked(rows[:0], mask[:0])) == 0


@pytest.mark.parametrize(
    ("whole", "part", "fields"),
    [
        (SESSION, OPEN_SESSION, SPAN_FIELDS),
        (SESSION, OPEN_SESSION, EVIDENCE_FIELDS),
        (SESSION["client"], OPEN_SIDE, SIDE_FIELDS),
    ],
)
def test_a_run_of_fields_is_the_same_in_two_tables(
    whole: np.dtype[np.void], part: np.dtype[np.void], fields: tuple[str, ...]
) -> None:
    given, found = random_rows(part, 9), np.zeros(9, whole)
    as_numbers(found)[:, run(whole, *fields)] = as_numbers(given)[:, run(part, *fields)]
    for name in fields:
        assert (found[name] == given[name]).all()
    untouched = [name for name in whole.names or () if name not in fields]
    assert (found[untouched] == np.zeros(9, whole)[untouched]).all()


SMALL = st.integers(-2, 2)


@given(st.lists(st.tuples(*[SMALL] * 5), min_size=1, max_size=60))
def test_equal_rows_are_found_in_order_of_their_values(rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows)
    expected, places = np.unique(table, axis=0, return_inverse=True)
    distinct, which = alike(*table.T)
    assert distinct == [tuple(row) for row in expected.tolist()]
    assert (which == places.reshape(-1)).all()


def test_many_columns_of_many_values() -> None:
    table = np.random.default_rng(2).integers(-(1 << 63), (1 << 63) - 1, (4000, 8))
    distinct, which = alike(*np.concatenate([table, table]).T)
    assert set(distinct) == {tuple(row) for row in table.tolist()}
    assert (which[:4000] == which[4000:]).all()
