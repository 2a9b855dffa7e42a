"""Words for amounts, both ways."""

from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import SpecError
from capture.units import format_duration, format_size, parse_duration, parse_size, wall_time

US, MS, S = 10**3, 10**6, 10**9
M, H = 60 * S, 3600 * S

DURATIONS = [
    # words, nanoseconds
    ("30s", 30 * S),
    ("90", 90 * S),
    ("1.5", 1500 * MS),
    ("5m", 5 * M),
    ("1h30m", H + 30 * M),
    ("1d 2h 3m 4s", 26 * H + 3 * M + 4 * S),
    ("1m30.5s", 90_500 * MS),
    ("200ms", 200 * MS),
    ("20us", 20 * US),
    ("20 µs", 20 * US),
    ("7ns", 7),
    ("5M", 5 * M),
    (" 2 s ", 2 * S),
    ("0", 0),
]

NO_DURATIONS = [
    # what is wrong, words
    ("nothing", ""),
    ("only a space", " "),
    ("no number", "s"),
    ("a unit that does not exist", "5x"),
    ("a word after it", "30s later"),
    ("negative", "-5s"),
    ("exponent", "1e3"),
    ("hexadecimal", "0x10"),
    ("two bare numbers", "1 2"),
    ("a bare number after a unit", "5m30"),
    ("the same unit twice", "1h1h"),
    ("units out of order", "30s5m"),
    ("comma for a point", "1,5s"),
    ("no digit before the point", ".5s"),
    ("digits of another script", "\u0661s"),
    ("more digits than any time needs", "1234567890123456"),
    ("far more than a float holds", "9" * 400 + "d"),
]


@pytest.mark.parametrize(("words", "nanoseconds"), DURATIONS, ids=[case[0] for case in DURATIONS])
def test_a_duration(words: str, nanoseconds: int) -> None:
    assert parse_duration(words) == nanoseconds


@pytest.mark.parametrize(("what", "words"), NO_DURATIONS, ids=[case[0] for case in NO_DURATIONS])
def test_no_duration(what: str, words: str) -> None:
    with pytest.raises(SpecError, match="is not understood; write it like 30s"):
        parse_duration(words)


SIZES = [
    # words, bytes
    ("4096", 4096),
    ("64MiB", 64 << 20),
    ("64Mi", 64 << 20),
    ("64mib", 64 << 20),
    ("64MB", 64_000_000),
    ("64M", 64_000_000),
    ("1.5GB", 1_500_000_000),
    ("256 KiB", 256 << 10),
    ("2k", 2000),
    ("1TiB", 1 << 40),
    ("10B", 10),
    ("0", 0),
]

NO_SIZES = [
    # what is wrong, words
    ("nothing", ""),
    ("no number", "MiB"),
    ("a unit that does not exist", "5x"),
    ("a unit too many", "5MiBs"),
    ("two amounts", "1M2K"),
    ("negative", "-1"),
    ("exponent", "1e9"),
    ("a percentage", "10%"),
    ("more digits than any size needs", "1234567890123456"),
    ("far more than a float holds", "9" * 400 + "G"),
]


@pytest.mark.parametrize(("words", "size"), SIZES, ids=[case[0] for case in SIZES])
def test_a_size(words: str, size: int) -> None:
    assert parse_size(words) == size


@pytest.mark.parametrize(("what", "words"), NO_SIZES, ids=[case[0] for case in NO_SIZES])
def test_no_size(what: str, words: str) -> None:
    with pytest.raises(SpecError, match="is not understood; write it like 4096"):
        parse_size(words)


EAST = timezone(timedelta(hours=5, minutes=30))
EVENING = datetime(2026, 11, 24, 18, 30, 0, 0, EAST)

WALL_TIMES = [
    # words, the time meant, after 18:30 of November 24th in a zone 5:30 east
    ("18:31", datetime(2026, 11, 24, 18, 31, 0, 0, EAST)),
    ("18:30:01", datetime(2026, 11, 24, 18, 30, 1, 0, EAST)),
    (" 23:59:59 ", datetime(2026, 11, 24, 23, 59, 59, 0, EAST)),
    ("18:30", datetime(2026, 11, 25, 18, 30, 0, 0, EAST)),
    ("00:00", datetime(2026, 11, 25, 0, 0, 0, 0, EAST)),
    ("2026-11-24T18:30", EVENING),
    ("2026-11-24 18:30:00", EVENING),
    ("2026-11-24T18:30:00.25", EVENING + timedelta(milliseconds=250)),
    ("2026-11-24T13:00Z", EVENING),
    ("2026-11-24T08:00-05:00", EVENING),
    ("2026-11-24", datetime(2026, 11, 24, 0, 0, 0, 0, EAST)),
    ("2020-02-29T00:00:00", datetime(2020, 2, 29, 0, 0, 0, 0, EAST)),
]

NO_WALL_TIMES = [
    # what is wrong, words
    ("nothing", ""),
    ("a word", "tomorrow"),
    ("one digit", "8:30"),
    ("an hour too many", "24:00"),
    ("a minute too many", "18:60"),
    ("a zone of a time of day", "18:30Z"),
    ("half a second of a time of day", "18:30:00.5"),
    ("twelve hours", "6:30pm"),
    ("a day that does not exist", "2026-02-30T00:00"),
    ("day before month", "24.11.2026"),
    ("a duration", "30s"),
    ("digits of another script", "18:3\u0660"),
    ("before there were computers", "0001-01-01T00:00"),
    ("after there are zones", "9999-12-31T23:59-12:00"),
]


def nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * S)


@pytest.mark.parametrize(("words", "meant"), WALL_TIMES, ids=[case[0] for case in WALL_TIMES])
def test_a_wall_clock_time(words: str, meant: datetime) -> None:
    microseconds = (meant - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
    assert abs(nanoseconds(wall_time(words, EVENING)) - microseconds * US) < US


@pytest.mark.parametrize(("what", "words"), NO_WALL_TIMES, ids=[case[0] for case in NO_WALL_TIMES])
def test_no_wall_clock_time(what: str, words: str) -> None:
    with pytest.raises(SpecError, match=r"^--start-at '.*' is not understood; write it like 18:30 or 2026-11-24T18"):
        wall_time(words, EVENING, "--start-at")


@given(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)), st.times())
def test_law_a_time_of_day_is_the_next_one(now: datetime, wanted: time) -> None:
    after = now.replace(tzinfo=UTC)
    found = datetime.fromtimestamp(nanoseconds(wall_time(f"{wanted:%H:%M:%S}", after)) // S, UTC)
    assert after < found <= after + timedelta(days=1)
    assert found.time() == wanted.replace(microsecond=0)


def test_the_error_names_the_option() -> None:
    with pytest.raises(SpecError, match=r"^--stats-interval '1x' is not"):
        parse_duration("1x", "--stats-interval")
    with pytest.raises(SpecError, match=r"^--buffer 'much' is not"):
        parse_size("much", "--buffer")


WRITTEN_DURATIONS = [
    (0, "0 ns"),
    (999, "999 ns"),
    (1_240, "1.24 µs"),
    (999_499, "999 µs"),
    (999_999, "1 ms"),
    (1_200_000, "1.2 ms"),
    (999_600_000, "1.0 s"),
    (3_400 * MS, "3.4 s"),
    (59_960 * MS, "1m00s"),
    (310 * S, "5m10s"),
    (H + 125 * S, "1h2m05s"),
    (-10 * S, "-10.0 s"),
]


@pytest.mark.parametrize(("nanoseconds", "words"), WRITTEN_DURATIONS)
def test_a_duration_in_words(nanoseconds: int, words: str) -> None:
    assert format_duration(nanoseconds) == words


WRITTEN_SIZES = [
    (0, "0 B"),
    (1023, "1023 B"),
    (1024, "1.0 KiB"),
    (1536, "1.5 KiB"),
    ((1 << 20) - 1, "1.0 MiB"),
    (64 << 20, "64.0 MiB"),
    (3 << 40, "3.0 TiB"),
]


@pytest.mark.parametrize(("size", "words"), WRITTEN_SIZES)
def test_a_size_in_words(size: int, words: str) -> None:
    assert format_size(size) == words


@given(st.integers(0, 10**18))
def test_what_was_written_can_be_read_again(amount: int) -> None:
    assert parse_duration(format_duration(amount)) == pytest.approx(amount, rel=0.06)
    assert parse_size(format_size(amount)) == pytest.approx(amount, rel=0.06)
