"""Leases -> one leader, by each process's own clock; and which agents are alive."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from capture.cluster import lease as module
from capture.cluster.kube import Lease
from capture.cluster.lease import ALIVE_SECONDS, LEASE_SECONDS, RENEW_SECONDS, Elector, Pulse
from capture.errors import ApiError


class SteppedClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class LeaseStore:
    """One lease, with versions as the API server keeps them."""

    def __init__(self) -> None:
        self.stored: Any = None
        self.down = False
        self._version = 0

    def get(self, *_: Any) -> Lease | None:
        if self.down:
            raise ApiError("down", 0)
        return None if self.stored is None else msgspec.convert(self.stored, Lease)

    def create(self, _: Any, body: Any, __: str) -> None:
        if self.stored is not None:
            raise ApiError("exists", 409)
        self._store(body)

    def replace(self, _: Any, body: Any, __: str) -> None:
        if body["metadata"]["resourceVersion"] != self.stored["metadata"]["resourceVersion"]:
            raise ApiError("changed", 409)
        self._store(body)

    def patch(self, _: Any, __: str, patch: Any, ___: str) -> None:
        self._store(self.stored | {"spec": self.stored["spec"] | patch["spec"]})

    def _store(self, body: Any) -> None:
        self._version += 1
        self.stored = body | {"metadata": body["metadata"] | {"resourceVersion": str(self._version)}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SteppedClock:
    clock = SteppedClock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def electors(store: LeaseStore) -> tuple[Elector, Elector]:
    return tuple(Elector(store, "lease", "system", name) for name in ("a", "b"))  # type: ignore[return-value]


def test_one_leads_while_it_renews(clock: SteppedClock) -> None:
    first, second = electors(LeaseStore())
    for _ in range(50):
        assert (first.step(), second.step()) == (True, False)
        clock.now += 2


def test_another_leads_when_the_lease_was_not_renewed_and_never_two(clock: SteppedClock) -> None:
    first, second = electors(LeaseStore())
    assert first.step()
    led_at = None
    for second_of in range(LEASE_SECONDS + 10):
        if second.step() and led_at is None:
            led_at = second_of
        assert not (first.leads and second.leads)
        clock.now += 1
    assert led_at is not None
    assert LEASE_SECONDS <= led_at <= LEASE_SECONDS + 3
    assert not first.step()


def test_who_cannot_reach_the_server_stops_before_another_may_lead(clock: SteppedClock) -> None:
    store = LeaseStore()
    first, _ = electors(store)
    assert first.step()
    store.down = True
    clock.now += RENEW_SECONDS - 1
    assert first.step()
    clock.now += 1
    assert not first.step()


def test_a_released_lease_is_taken_at_once(clock: SteppedClock) -> None:
    first, second = electors(LeaseStore())
    assert first.step()
    assert not second.step()
    first.release()
    assert second.step()
    assert not first.leads


def test_agents_are_alive_while_their_renewals_are_noticed() -> None:
    clock = SteppedClock()
    pulse = Pulse(clock.monotonic)
    renewed = datetime.now(UTC)

    def noticed(at: datetime) -> None:
        pulse.noticed(msgspec.convert({"metadata": {"name": "agent-n1"}, "spec": {"renewTime": at}}, Lease))

    noticed(renewed)
    assert pulse.alive() == {"agent-n1"}
    clock.now += ALIVE_SECONDS - 2
    noticed(renewed + timedelta(days=-400))  # their clock was stepped: only that it changed matters
    clock.now += ALIVE_SECONDS - 2
    assert pulse.alive() == {"agent-n1"}
    clock.now += 2
    assert pulse.alive() == frozenset()


def test_a_lease_that_is_old_when_it_is_first_seen_is_no_sign_of_life() -> None:
    pulse = Pulse(SteppedClock().monotonic)
    old = datetime.now(UTC) - timedelta(seconds=ALIVE_SECONDS + 1)
    pulse.noticed(msgspec.convert({"metadata": {"name": "agent-n1"}, "spec": {"renewTime": old}}, Lease))
    assert pulse.alive() == frozenset()
