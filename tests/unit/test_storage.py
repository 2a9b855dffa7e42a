"""How the output is kept: words become values, and what cannot be is refused by name."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import SpecError
from capture.request.spec_json import spec_as_json
from capture.spec import CaptureSpec
from capture.storage import MinFree, Storage, larger_min_free, parse_file_size, parse_file_time, parse_min_free

SIZES = [
    # a bare number is millions of bytes, as for tcpdump
    ("1", 1_000_000),
    (" 100 ", 100_000_000),
    ("0.5", 500_000),
    ("100k", 100_000),
    ("64MiB", 64 << 20),
    ("1GB", 10**9),
    ("10b", 10),
]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_the_size_of_a_file(text: str, size: int) -> None:
    assert parse_file_size(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("60", 60), ("1.5", 1.5), ("5m", 300), ("1h30m", 5400)])
def test_the_time_of_a_file(text: str, seconds: float) -> None:
    assert parse_file_time(text) == seconds * 10**9


@pytest.mark.parametrize(
    ("text", "asked", "of_a_gigabyte"),
    [
        ("5%", MinFree(percent=5), 50_000_000),
        ("0.5 %", MinFree(percent=0.5), 5_000_000),
        ("2GiB", MinFree(bytes=2 << 30), 2 << 30),
        ("1000", MinFree(bytes=1000), 1000),
    ],
)
def test_what_must_stay_free(text: str, asked: MinFree, of_a_gigabyte: int) -> None:
    assert parse_min_free(text) == asked
    assert asked.of(10**9) == of_a_gigabyte


@given(st.integers(1, 2**50), st.integers(1, 2**50))
def test_bytes_that_must_stay_free_are_the_same_on_every_disk(asked: int, total: int) -> None:
    assert MinFree(bytes=asked).of(total) == asked


WORDS = [
    (parse_file_size, "", "-C ''"),
    (parse_file_size, "-1", "-C '-1'"),
    (parse_file_size, "1 elephant", "-C '1 elephant'"),
    (parse_file_time, "5x", "-G '5x'"),
    (parse_min_free, "5%%", "--min-free '5%%' is not understood; write it like 5% or 2GiB"),
    (parse_min_free, "much", "--min-free 'much'"),
    (parse_min_free, "0%", "min-free 0% is not between"),
    (parse_min_free, "100%", "min-free 100% is not between"),
    (parse_min_free, "0", "min-free is not at least one byte"),
]


@pytest.mark.parametrize(("parse", "text", "says"), WORDS)
def test_words_that_mean_nothing(parse: Callable[[str], object], text: str, says: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse(text)
    assert says in str(refused.value)


VALUES = [
    ({"file_bytes": 0}, "-C"),
    ({"file_ns": 0}, "-G"),
    ({"files_kept": 0, "file_bytes": 1}, "-W"),
    ({"files_kept": 2}, "-W.*needs a size .-C. or a time .-G."),
    ({"compress": "gzip"}, "compression 'gzip' is not known; there is zstd"),
    ({"user": ""}, "--user"),
]


@pytest.mark.parametrize(("fields", "says"), VALUES)
def test_values_that_cannot_be(fields: dict, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        Storage(**fields)


@pytest.mark.parametrize("fields", [{}, {"percent": 1.0, "bytes": 1}])
def test_what_must_stay_free_is_one_of_two(fields: dict) -> None:
    with pytest.raises(SpecError, match="one of them"):
        MinFree(**fields)


def test_one_file_unless_a_size_or_a_time_is_given() -> None:
    assert not Storage(compress="zstd").rotates
    assert Storage(file_bytes=1).rotates
    assert Storage(file_ns=1).rotates


def test_json_has_every_field() -> None:
    storage = Storage(file_bytes=10, files_kept=3, compress="zstd", user="nobody", min_free=MinFree(percent=5))
    assert spec_as_json(CaptureSpec(interfaces=("eth0",), storage=storage))["storage"] == {
        "file_bytes": 10,
        "file_ns": None,
        "files_kept": 3,
        "compress": "zstd",
        "unique": False,
        "comment": None,
        "user": "nobody",
        "min_free": "5%",
        "store": {"url": None, "retry_ns": 3600 * 10**9, "delete": False, "credentials": None, "known_hosts": None},
    }


@pytest.mark.parametrize(
    ("one", "other", "total", "larger"),
    [
        ("10%", "1", 1000, "10%"),
        ("10%", "200", 1000, "200"),
        ("10%", "50%", 1000, "50%"),
        ("1GiB", "10%", 1 << 40, "10%"),
    ],
)
def test_of_two_spaces_that_stay_free_the_larger_one_holds(one: str, other: str, total: int, larger: str) -> None:
    assert larger_min_free(one, other, total) == larger_min_free(other, one, total) == larger
