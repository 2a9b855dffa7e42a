"""seen = unmatched + matched; matched = written + over_limit + lost: sums, and that a wrong one does not pass."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from capture.account import Account, DirectionAccount, Losses, check, total
from capture.errors import BicapError

FORWARD = DirectionAccount(
    matched=100, matched_bytes=6400, written=90, written_bytes=5760, over_limit=4, lost_writing=1
)
REVERSE = DirectionAccount(matched=50, matched_bytes=5000, written=47, written_bytes=4700, over_limit=1)
ACCOUNT = Account(seen=170, seen_bytes=20_000, unmatched=20, forward=FORWARD, reverse=REVERSE)
LOSSES = Losses(ring_full=5, other=2, writing=1)


def test_lost_is_what_matched_and_is_neither_written_nor_over_the_limit() -> None:
    assert (FORWARD.lost, REVERSE.lost, ACCOUNT.both.lost) == (6, 2, 8)
    assert DirectionAccount().lost == 0


def test_both_is_the_sum_of_every_field() -> None:
    for field in fields(DirectionAccount):
        assert getattr(ACCOUNT.both, field.name) == getattr(FORWARD, field.name) + getattr(REVERSE, field.name)


def test_several_interfaces_add_up_and_none_is_zero() -> None:
    assert total([]) == Account()
    assert total([ACCOUNT]) == ACCOUNT
    together = total([ACCOUNT, ACCOUNT, Account(seen=1, seen_bytes=60, unmatched=1)])
    assert (together.seen, together.seen_bytes, together.unmatched) == (341, 40_060, 41)
    assert (together.forward, together.reverse) == (FORWARD + FORWARD, REVERSE + REVERSE)


def test_json_has_the_counts_and_the_sums_a_reader_wants() -> None:
    plain = ACCOUNT.as_json()
    assert (plain["seen"], plain["seen_bytes"], plain["unmatched"]) == (170, 20_000, 20)
    assert (plain["matched"], plain["written"], plain["written_bytes"]) == (150, 137, 10_460)
    assert (plain["over_limit"], plain["lost"]) == (5, 8)
    assert plain["forward"]["matched_bytes"] == 6400
    assert plain["reverse"]["written"] == 47


def test_an_account_that_adds_up_passes() -> None:
    check(ACCOUNT, LOSSES)
    check(Account(), Losses())


OFF_BY_ONE = [
    # the number that is off, the account and the losses with it
    ("seen", replace(ACCOUNT, seen=171), LOSSES),
    ("unmatched", replace(ACCOUNT, unmatched=19), LOSSES),
    ("forward matched", replace(ACCOUNT, forward=replace(FORWARD, matched=101)), LOSSES),
    ("reverse matched, seen with it", replace(ACCOUNT, seen=171, reverse=replace(REVERSE, matched=51)), LOSSES),
    ("forward written", replace(ACCOUNT, forward=replace(FORWARD, written=91)), LOSSES),
    ("reverse over the limit", replace(ACCOUNT, reverse=replace(REVERSE, over_limit=0)), LOSSES),
    ("lost, ring full", ACCOUNT, replace(LOSSES, ring_full=4)),
    ("lost, other", ACCOUNT, replace(LOSSES, other=3)),
    ("lost, writing", ACCOUNT, replace(LOSSES, writing=0)),
]


@pytest.mark.parametrize(("what", "account", "losses"), OFF_BY_ONE, ids=[case[0] for case in OFF_BY_ONE])
def test_one_number_that_is_off_is_a_bug_and_said_to_be_one(what: str, account: Account, losses: Losses) -> None:
    with pytest.raises(BicapError, match=r"^bug: (seen is not unmatched|matched is not written)"):
        check(account, losses)


def test_accounts_are_values() -> None:
    assert replace(ACCOUNT) == ACCOUNT
    with pytest.raises(FrozenInstanceError):
        ACCOUNT.seen = 0  # type: ignore[misc]


def test_losses_say_the_reason_and_the_remedy() -> None:
    said = str(Losses(ring_full=12_345, writing=7, other=3))
    assert said == "12,345 ring full (raise --buffer), 7 not written, 3 other"
