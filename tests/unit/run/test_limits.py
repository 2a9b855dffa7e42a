"""The beginning and end of files and of a capture: bytes are exact, times are those of packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.run.limits import NO_LIMIT, Limits
from capture.spec import CaptureSpec
from capture.storage import Storage
from capture.stream.compiled import merge

S = 10**9
OVERHEAD = 1500


def limits(storage: Storage = Storage(), **fields: int) -> Limits:  # noqa: B008 - frozen
    return Limits(CaptureSpec(interfaces=("eth0",), storage=storage, **fields))  # type: ignore[arg-type]


def packets_written(found: Limits, count: int, size: int) -> None:
    """Change the state as merge() does."""
    found.state[merge.FILE_PACKETS] += count
    found.state[merge.FILE_LEFT] -= count * size
    found.state[merge.BYTES_LEFT] -= count * size


def test_without_limits_a_file_never_ends() -> None:
    found = limits()
    assert found.file_begins(OVERHEAD, 5 * S)
    assert found.final_in_file(10**18) == 10**18
    packets_written(found, 10**6, 1000)
    assert not found.file_is_over(10**18)
    assert found.reached is None


COUNTS = [
    # field of the spec, slot of the state
    ("count", merge.LEFT),
    ("count_forward", merge.LEFT_FORWARD),
    ("count_reverse", merge.LEFT_REVERSE),
    ("max_bytes", merge.BYTES_LEFT),
]


@pytest.mark.parametrize(("field", "slot"), COUNTS)
def test_a_limit_is_the_first_state_of_the_loop(field: str, slot: int) -> None:
    found = limits(**{field: 5000})
    assert found.state[slot] == 5000
    others = {other for _, other in COUNTS} - {slot}
    assert all(found.state[other] == NO_LIMIT for other in others)


REASONS = [
    (0, None),
    (merge.LEFT, "count reached"),
    (merge.LEFT_FORWARD, "count of forward packets reached"),
    (merge.LEFT_REVERSE, "count of reverse packets reached"),
    (merge.BYTES_LEFT, "size reached"),
]


@pytest.mark.parametrize(("slot", "reason"), REASONS)
def test_the_limit_that_was_reached_is_the_reason_for_the_end(slot: int, reason: str | None) -> None:
    found = limits(count=1)
    found.state[merge.REACHED] = slot
    assert found.reached == reason


def test_blocks_that_are_not_packets_count_in_the_size_of_a_file_and_of_all_files() -> None:
    found = limits(Storage(file_bytes=10_000), max_bytes=25_000)
    assert found.file_begins(OVERHEAD, 0)
    assert (found.state[merge.FILE_LEFT], found.state[merge.BYTES_LEFT]) == (8500, 23_500)
    packets_written(found, 8, 1000)
    found.state[merge.FILE_FULL] = 1
    assert found.file_begins(OVERHEAD, 0)
    assert (found.state[merge.FILE_LEFT], found.state[merge.BYTES_LEFT]) == (8500, 14_000)
    assert (found.state[merge.FILE_FULL], found.state[merge.FILE_PACKETS]) == (0, 0)


def test_a_file_without_room_for_a_packet_does_not_begin() -> None:
    smallest = merge.SMALLEST_BLOCK
    assert limits(max_bytes=5000).file_begins(5000 - smallest, 0)
    found = limits(max_bytes=5000)
    assert not found.file_begins(5000 - smallest + 1, 0)
    assert found.state[merge.BYTES_LEFT] == 5000
    assert found.reached == "size reached"


def test_an_earlier_reason_is_kept_when_no_file_begins() -> None:
    found = limits(max_bytes=5000)
    found.state[merge.REACHED] = merge.LEFT
    assert not found.file_begins(5000, 0)
    assert found.reached == "count reached"


def test_a_file_that_is_full_is_over() -> None:
    found = limits(Storage(file_bytes=10_000))
    found.file_begins(OVERHEAD, 0)
    packets_written(found, 1, 100)
    assert not found.file_is_over(10**18)
    found.state[merge.FILE_FULL] = 1
    assert found.file_is_over(0)


def test_a_file_ends_at_the_first_packet_after_its_time() -> None:
    found = limits(Storage(file_ns=10 * S))
    found.file_begins(OVERHEAD, 5 * S)
    assert [found.final_in_file(at) for at in (14 * S, 15 * S, 16 * S)] == [14 * S, 15 * S, 15 * S]
    packets_written(found, 1, 100)
    assert not found.file_is_over(15 * S - 1)
    assert found.file_is_over(15 * S)
    found.file_begins(OVERHEAD, 17 * S)
    assert found.final_in_file(10**18) == 27 * S


EMPTY = [
    # written until, the end of a file of 10 s that began at 5 s and has no packet
    (14 * S, 15 * S),
    (15 * S, 25 * S),
    (24 * S, 25 * S),
    (25 * S, 35 * S),
    (1000 * S, 1005 * S),
    (1004 * S + 999_999_999, 1005 * S),
]


@pytest.mark.parametrize(("until", "ends"), EMPTY)
def test_an_empty_file_is_continued_for_whole_periods(until: int, ends: int) -> None:
    found = limits(Storage(file_ns=10 * S))
    found.file_begins(OVERHEAD, 5 * S)
    assert not found.file_is_over(until)
    assert found.final_in_file(10**18) == ends
    packets_written(found, 1, 100)
    assert not found.file_is_over(ends - 1)
    assert found.file_is_over(ends)


@given(st.integers(1, 100 * S), st.integers(0, 10**15), st.lists(st.integers(0, 10**12), max_size=20))
def test_law_an_empty_file_is_never_over_and_always_ends_later(file_ns: int, begin: int, pauses: list[int]) -> None:
    found = limits(Storage(file_ns=file_ns))
    found.file_begins(OVERHEAD, begin)
    now = begin
    for pause in pauses:
        now += pause
        assert not found.file_is_over(now)
        ends = found.final_in_file(10**18)
        assert now < ends <= now + file_ns
        assert (ends - begin) % file_ns == 0


@pytest.mark.parametrize("slot", [slot for slot, reason in REASONS if reason])
def test_after_a_limit_the_end_of_a_file_does_not_delay_counting(slot: int) -> None:
    found = limits(Storage(file_bytes=10_000, file_ns=10 * S), count=5)
    found.file_begins(OVERHEAD, 0)
    packets_written(found, 5, 100)
    found.state[merge.FILE_FULL], found.state[merge.REACHED] = 1, slot
    assert found.final_in_file(99 * S) == 99 * S
    assert not found.file_is_over(99 * S)


def test_after_an_error_the_end_of_a_file_does_not_delay_counting() -> None:
    found = limits(Storage(file_bytes=10_000, file_ns=10 * S))
    found.file_begins(OVERHEAD, 0)
    packets_written(found, 5, 100)
    found.state[merge.FILE_FULL] = 1
    found.no_more_files()
    assert found.final_in_file(99 * S) == 99 * S
    assert not found.file_is_over(99 * S)
    assert found.state[merge.FILE_LEFT] == NO_LIMIT
    assert found.reached is None
