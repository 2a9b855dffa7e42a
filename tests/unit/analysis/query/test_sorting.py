"""Sessions -> the same in order of a column."""

import numpy as np
import pytest

from capture.analysis.query.sorting import Spool, sort_key
from capture.errors import SpecError
from tests.unit.analysis.session_row import session


@pytest.mark.parametrize(
    ("key", "order"), [("packets", [2, 3, 1]), ("-packets", [1, 2, 3]), ("start", [3, 2, 1]), ("-start", [1, 2, 3])]
)
def test_sorting_is_by_the_column_then_by_first_packets(key: str, order: list[int]) -> None:
    packets = {1: 9, 2: 5, 3: 5}
    with Spool(*sort_key(key)) as spool:
        for number in (3, 1, 2):
            spool.add(session(session=number, client_packets=packets[number], first_ns=100 - number))
        found = np.concatenate(list(spool.in_order()))
    assert found["session"].tolist() == order


@pytest.mark.parametrize("key", ["nothing", "client", "-handshake", ""])
def test_a_wrong_sort_key_is_reported(key: str) -> None:
    with pytest.raises(SpecError, match="is not a column of numbers"):
        sort_key(key)
