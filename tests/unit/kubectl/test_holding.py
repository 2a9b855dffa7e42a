"""A capture that is followed ends soon after whoever follows it, and never because of a clock or of a failure."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from capture.cluster.kube import ObjectMetadata
from capture.cluster.objects import CaptureObject
from capture.errors import ApiError
from capture.kubectl.cluster_captures import CaptureName
from capture.kubectl.held_capture import HOLD, RENEW_SECONDS, RETRY_SECONDS, HeldCapture

NAME = CaptureName("web", "shop")


class OneCapture:
    """A capture whose time to stop is all that matters; `down` while the API server does not answer."""

    def __init__(self) -> None:
        self.stop_at: str | None = None
        self.down, self.tries = False, 0

    def put_off(self, name: CaptureName, before: str | None, at: str) -> None:
        self.tries += 1
        if self.down or (before is not None and self.stop_at != before):
            raise ApiError("refused", 0)
        self.stop_at = at

    def read(self, name: CaptureName) -> CaptureObject:
        if self.down:
            raise ApiError("refused", 0)
        return CaptureObject(ObjectMetadata(), {"limits": {"stopAt": self.stop_at}})

    @property
    def left(self) -> float:
        """Seconds until it stops, by this machine's clock."""
        return (datetime.fromisoformat(self.stop_at or "") - datetime.now(UTC)).total_seconds()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1000.0]
    monkeypatch.setattr("capture.kubectl.held_capture.time.monotonic", lambda: clock[0])
    return clock


def held(api: OneCapture, spec: Any = None, ahead: timedelta = timedelta()) -> HeldCapture:
    made = CaptureObject(ObjectMetadata(creation_timestamp=datetime.now(UTC) + ahead), spec)
    return HeldCapture(api, NAME, made)  # type: ignore[arg-type]


def test_the_time_to_stop_is_put_off_while_somebody_follows(now: list[float]) -> None:
    api = OneCapture()
    holding = held(api)
    for _ in range(3):
        holding.renew()
    assert api.tries == 1
    assert api.left == pytest.approx(HOLD.total_seconds(), abs=5)
    now[0] += RENEW_SECONDS
    holding.renew()
    assert api.tries == 2
    assert HOLD.total_seconds() > 3 * RENEW_SECONDS, "some tries may fail"


def test_it_is_a_time_of_the_api_servers_clock(now: list[float]) -> None:
    api = OneCapture()
    held(api, ahead=timedelta(hours=1)).renew()
    assert api.left == pytest.approx(3600 + HOLD.total_seconds(), abs=5)


def test_who_else_sets_it_is_not_overruled(now: list[float]) -> None:
    api = OneCapture()
    holding = held(api)
    holding.renew()
    api.stop_at = "2026-11-30T12:00:00Z"
    for _ in range(3):
        now[0] += RENEW_SECONDS
        holding.renew()
    assert (api.stop_at, api.tries) == ("2026-11-30T12:00:00Z", 2)
    held(api, {"limits": {"stopAt": "2026-12-01T00:00:00Z"}}).renew()
    assert api.tries == 2


def test_a_failure_is_tried_again(now: list[float]) -> None:
    api = OneCapture()
    api.down, holding = True, held(api)
    holding.renew()
    api.down = False
    holding.renew()
    assert api.stop_at is None
    now[0] += RETRY_SECONDS
    holding.renew()
    assert api.stop_at is not None
