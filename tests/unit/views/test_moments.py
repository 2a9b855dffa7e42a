"""Times in their four forms, and dates where a capture has more than a day."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from capture.arrays.cells import lines
from capture.views.moments import Clock, TimeForm

FIRST = 1_764_455_400_000_250_999
"""2025-11-29 22:30:00 UTC; 2025-11-30 04:00:00 in Kolkata."""
HOUR = 3600 * 10**9
TIMES = np.array([FIRST, FIRST - 1000, FIRST + HOUR, FIRST + 2 * HOUR + 5], np.int64)


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("local", ["04:00:00.000250", "04:00:00.000249", "05:00:00.000250", "06:00:00.000251"]),
        ("utc", ["22:30:00.000250", "22:30:00.000249", "23:30:00.000250", "2025-11-30 00:30:00.000251"]),
        ("epoch", [f"{ns // 10**9}.{ns // 1000 % 10**6:06d}" for ns in TIMES.tolist()]),
        ("relative", ["0.000000", "-0.000001", "3600.000000", "7200.000000"]),
    ],
)
def test_times_have_the_form_that_was_asked_for_and_a_date_on_another_day(form: str, shown: list[str]) -> None:
    assert lines(Clock(TimeForm(form)).cells(TIMES, 6)) == shown


def test_times_have_nanoseconds_where_there_is_room() -> None:
    assert lines(Clock(TimeForm.UTC).cells(TIMES[:1], 9)) == ["22:30:00.000250999"]


def test_the_first_packet_of_the_capture_counts_and_not_the_first_that_is_shown() -> None:
    clock = Clock(TimeForm.RELATIVE)
    clock.begin(FIRST)
    assert clock.text(FIRST + HOUR) == "3600.000000"
    clock.begin(FIRST + HOUR)
    assert clock.text(FIRST + HOUR) == "3600.000000"


@pytest.mark.parametrize(
    ("form", "shown"),
    [("local", "2025-11-30 04:00:00.000250"), ("utc", "2025-11-29 22:30:00.000250"), ("epoch", "1764455400.000250")],
)
def test_a_time_can_be_shown_with_its_date_always(form: str, shown: str) -> None:
    assert Clock(TimeForm(form)).dated_text(FIRST) == shown
