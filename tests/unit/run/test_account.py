"""seen = unmatched + matched; matched = written + sampled out + over the limit + lost, and no wrong sum passes."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from capture.errors import BicapError
from capture.run.account import COUNTED, Account, DirectionAccount, check, total

FORWARD = DirectionAccount(
    matched=200,
    matched_bytes=12_800,
    sampled_by_flow=50,
    sampled_by_packet=20,
    sampled_by_first=15,
    sampled_by_rate=10,
    sampled_by_pressure=5,
    lost_ring_full=4,
    lost_other=2,
    cut=30,
    cut_bytes=900,
    written=89,
    written_bytes=5696,
    over_limit=4,
    lost_writing=1,
)
REVERSE = DirectionAccount(
    matched=50, matched_bytes=5000, written=47, written_bytes=4700, over_limit=1, lost_ring_full=2
)
ACCOUNT = Account(seen=270, seen_bytes=20_000, unmatched=20, forward=FORWARD, reverse=REVERSE)
COUNTS = [field.name for field in fields(DirectionAccount)]
SUMMED = [name for name in COUNTS if not name.endswith("_bytes") and name != "cut"]
"""Fields that the sum of a direction has; `cut` packets are counted as written."""


def test_sampled_out_and_lost_packets_are_counted_by_reason() -> None:
    assert (FORWARD.sampled_out, REVERSE.sampled_out, ACCOUNT.both.sampled_out) == (100, 0, 100)
    assert FORWARD.sampled_by == {"flow": 50, "packet": 20, "first": 15, "rate": 10, "pressure": 5}
    assert (FORWARD.lost, REVERSE.lost, ACCOUNT.both.lost) == (7, 2, 9)
    assert ACCOUNT.both.lost_by == {"ring_full": 6, "other": 2, "writing": 1}


def test_both_is_the_sum_of_every_field() -> None:
    for name in COUNTS:
        assert getattr(ACCOUNT.both, name) == getattr(FORWARD, name) + getattr(REVERSE, name)


def test_accounts_of_several_interfaces_add_up_and_that_of_none_is_zero() -> None:
    assert total([]) == Account()
    assert total([ACCOUNT]) == ACCOUNT
    together = total([ACCOUNT, ACCOUNT, Account(seen=1, seen_bytes=60, unmatched=1)])
    assert (together.seen, together.seen_bytes, together.unmatched) == (541, 40_060, 41)
    assert (together.forward, together.reverse) == (FORWARD + FORWARD, REVERSE + REVERSE)


def test_the_difference_of_two_accounts_is_that_of_every_field() -> None:
    assert Account() == ACCOUNT - ACCOUNT
    assert (ACCOUNT + ACCOUNT) - ACCOUNT == ACCOUNT
    assert Account(seen=5, reverse=REVERSE) - Account(seen=2) == Account(seen=3, reverse=REVERSE)


def test_the_programs_count_every_field_that_the_loop_does_not() -> None:
    assert set(COUNTS) - set(COUNTED) == {"written", "written_bytes", "over_limit", "lost_writing"}


def test_json_has_the_counts_and_their_sums() -> None:
    plain = ACCOUNT.as_json()
    assert (plain["seen"], plain["seen_bytes"], plain["unmatched"]) == (270, 20_000, 20)
    assert (plain["matched"], plain["written"], plain["written_bytes"]) == (250, 136, 10_396)
    assert (plain["over_limit"], plain["sampled_out"], plain["lost"]) == (5, 100, 9)
    assert plain["lost_by"] == {"ring_full": 6, "other": 2, "writing": 1}
    assert plain["forward"]["matched_bytes"] == 12_800
    assert (plain["forward"]["cut"], plain["forward"]["cut_bytes"]) == (30, 900)
    assert plain["forward"]["sampled_by"]["first"] == 15
    assert plain["reverse"]["written"] == 47


def test_accounts_that_add_up_pass() -> None:
    check([])
    check([ACCOUNT, Account(), Account(seen=3, unmatched=3)])


OFF_BY_ONE = [
    ("seen", replace(ACCOUNT, seen=271)),
    ("unmatched", replace(ACCOUNT, unmatched=19)),
    *((f"forward {name}", replace(ACCOUNT, forward=replace(FORWARD, **{name: getattr(FORWARD, name) + 1})))
      for name in SUMMED),
    *((f"reverse {name}", replace(ACCOUNT, reverse=replace(REVERSE, **{name: getattr(REVERSE, name) - 1})))
      for name in SUMMED),
    ("forward matched, seen with it", replace(ACCOUNT, seen=271, forward=replace(FORWARD, matched=201))),
]  # fmt: skip


@pytest.mark.parametrize(("what", "account"), OFF_BY_ONE, ids=[case[0] for case in OFF_BY_ONE])
def test_a_single_wrong_number_is_reported_as_a_bug(what: str, account: Account) -> None:
    with pytest.raises(BicapError, match=r"^bug: (seen is not unmatched|matched is not written)"):
        check([ACCOUNT, account])


def test_errors_of_two_directions_or_interfaces_do_not_cancel_out() -> None:
    less, more = replace(FORWARD, written=FORWARD.written - 1), replace(REVERSE, written=REVERSE.written + 1)
    with pytest.raises(BicapError, match=r"^bug: matched is not written"):
        check([replace(ACCOUNT, forward=less, reverse=more)])
    with pytest.raises(BicapError, match=r"^bug: seen is not"):
        check([replace(ACCOUNT, seen=269), replace(ACCOUNT, seen=271)])


def test_packets_between_the_program_and_the_file_are_on_their_way() -> None:
    assert FORWARD.on_its_way == 0
    assert replace(FORWARD, written=80).on_its_way == 9


def test_accounts_are_values() -> None:
    assert replace(ACCOUNT) == ACCOUNT
    with pytest.raises(FrozenInstanceError):
        ACCOUNT.seen = 0  # type: ignore[misc]
