"""Rows that do not fit into memory -> the same rows again; a full disk is one line."""

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from capture.arrays.scratch import Scratch
from capture.errors import SinkError

DTYPE = np.dtype([("a", "i8"), ("b", "u1")], align=True)


def test_rows_are_returned_in_order_any_number_of_times() -> None:
    scratch = Scratch(DTYPE)
    rows = np.zeros(10, DTYPE)
    rows["a"] = np.arange(10)
    for start in (0, 4, 8):
        scratch.add(rows[start : start + 4])
    for count, sizes in ((-1, [10]), (4, [4, 4, 2]), (5, [5, 5])):
        chunks = list(scratch.chunks(count))
        assert [len(chunk) for chunk in chunks] == sizes
        assert (np.concatenate(chunks) == rows).all()
    places = np.array([9, 0, 4, 4])
    assert (scratch.picked(places) == rows[places]).all()
    scratch.close()


@pytest.mark.parametrize("count", [1, 100_000])
def test_a_full_disk_is_reported(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    full: Callable[[], Any] = lambda: open("/dev/full", "r+b", buffering=0)  # noqa: E731, SIM115
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    scratch = Scratch(DTYPE)
    with pytest.raises(SinkError, match=r"cannot write temporary files to /.*: No space left on device; make room"):
        scratch.add(np.zeros(count, DTYPE))
    scratch.close()
