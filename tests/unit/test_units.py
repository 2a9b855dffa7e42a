"""Words for amounts, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import SpecError
from capture.units import format_duration, format_size, parse_duration, parse_size

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
