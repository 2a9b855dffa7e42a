"""Sessions with values, and their samples -> a Latency for each value, and one for the others."""

from typing import Any

import numpy as np
import pytest

from capture.analysis.latency import groups as module
from capture.analysis.latency.groups import LatencyGroups
from capture.analysis.sessions.session_table import SAMPLE
from capture.arrays.aliases import Table
from tests.unit.analysis.session_row import session


def sample(of: int, duration_ns: int) -> Table:
    row = np.zeros(1, SAMPLE)
    row["session"], row["duration_ns"] = of, duration_ns
    return row


def grouped(values: list[Any], most: int) -> LatencyGroups:
    """Return groups of sessions 1, 2, ... with these values, whose one sample lasts as many ns as their number."""
    found = LatencyGroups(most)
    sessions = [session(session=number) for number in range(1, len(values) + 1)]
    for row, value in zip(sessions, values, strict=True):
        found.see(row, [value])
    for number, row in enumerate(sessions, start=1):  # samples come before their session ends
        found.add(row[:0], sample(number, number))
        found.add(row, sample(number, number)[:0])
    return found


def most_ns(groups: LatencyGroups) -> dict[Any, tuple[int, int]]:
    return {value: (count, of.distributions()[0].max_ns) for value, (count, of) in groups.groups.items()}


def test_the_most_frequent_values_come_first_and_the_rest_is_together() -> None:
    found = grouped(["a", "b", "b", "c", "b", "c", ""], most=2)
    assert most_ns(found) == {"b": (3, 5), "c": (2, 6)}
    assert list(found.groups) == ["b", "c"]
    assert found.others is not None
    count, others = found.others
    assert (count, others.distributions()[0].count, others.distributions()[0].max_ns) == (2, 2, 7)


def test_there_are_no_others_if_all_values_have_a_group() -> None:
    found = grouped(["a", "b"], most=2)
    assert (list(found.groups), found.others) == (["a", "b"], None)


def test_more_values_than_are_told_apart_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VALUES_MAX", 2)
    found = grouped(["a", "b", "c", "c", "d"], most=10)
    assert most_ns(found) == {"a": (1, 1), "b": (1, 2)}
    assert found.others is not None
    assert found.others[0] == 3


def test_nothing_was_read() -> None:
    found = LatencyGroups(3)
    found.add(session()[:0], sample(1, 1)[:0])
    assert (dict(found.groups), found.others) == ({}, None)
