"""Alertmanager's webhook at the controller: alerts for whoever has the token, and nothing for others."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from capture.alerts import ALERTS_MAX, BODY_MAX, BadRequestError, firing_alerts, json_object
from capture.retrieval.tls_identity import trusting
from tests.unit.retrieval.doors import OpenDoors, open_doors

TOKEN = "a-token-of-alertmanager"
SLOW: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "CheckoutSlow", "namespace": "shop", "pod": "web-0"},
    "annotations": {"summary": "p99 is\n3 s"},
    "startsAt": "2026-11-30T12:00:00Z",
    "fingerprint": "8a5e",
}
RESOLVED = SLOW | {"status": "resolved"}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    with open_doors(tmp_path_factory.mktemp("doors") / "bicap") as doors:
        yield doors


@pytest.fixture
def alertmanager(doors: OpenDoors) -> Iterator[httpx2.Client]:
    """Alertmanager, with the token; the controller has it, too."""
    doors.alerts_token.write_text(f"{TOKEN}\n")
    doors.alerts.clear()
    context, headers = trusting(doors.identity.authority), {"Authorization": f"Bearer {TOKEN}"}
    address = f"https://127.0.0.1:{doors.robots_port}"
    with httpx2.Client(base_url=address, verify=context, trust_env=False, headers=headers, timeout=20) as client:
        yield client


def test_alerts_that_fire_are_told_and_answered(doors: OpenDoors, alertmanager: httpx2.Client) -> None:
    answer = alertmanager.post("/v1/alerts", json={"version": "4", "alerts": [SLOW, RESOLVED]})
    assert (answer.status_code, answer.json()) == (
        200, [{"alert": "CheckoutSlow", "fired": ["shop/c"], "passedOver": []}],
    )  # fmt: skip
    (alert,) = doors.alerts
    assert (alert.reason, alert.labels["pod"]) == ("p99 is 3 s", "web-0")


def test_nothing_that_fires_is_an_answer_too(doors: OpenDoors, alertmanager: httpx2.Client) -> None:
    assert alertmanager.post("/v1/alerts", json={"alerts": [RESOLVED]}).json() == []
    assert doors.alerts == []


BODIES = [
    (b"no json", 400, "the body is not JSON"),
    (b"[]", 400, "the body is not a JSON object"),
    (b"{}", 400, "alerts is not a list"),
    (b'{"alerts": [5]}', 400, "an alert is not an object"),
    (b"[" * 100_000, 400, "the body is not JSON"),
    (b" " * (BODY_MAX + 1), 413, "the body has more than"),
]


@pytest.mark.parametrize(("body", "status", "said"), BODIES, ids=[said for _, _, said in BODIES])
def test_what_is_not_understood_is_refused_in_one_line(
    alertmanager: httpx2.Client, body: bytes, status: int, said: str
) -> None:
    answer = alertmanager.post("/v1/alerts", content=body)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(said)


@pytest.mark.parametrize(
    ("kept", "shown", "status"),
    [
        (TOKEN, f"Bearer {TOKEN}x", 401),
        (TOKEN, "Bearer robot.of.shop", 401),
        (TOKEN, "Basic x", 401),
        ("", "Bearer x", 403),
        ("short", "Bearer short", 403),
        (None, f"Bearer {TOKEN}", 403),
    ],
)
def test_without_the_token_no_alert_is_taken(
    doors: OpenDoors, alertmanager: httpx2.Client, kept: str | None, shown: str, status: int
) -> None:
    if kept is None:
        doors.alerts_token.unlink()
    else:
        doors.alerts_token.write_text(kept)
    answer = alertmanager.post("/v1/alerts", json={"alerts": [SLOW]}, headers={"Authorization": shown})
    assert answer.status_code == status
    assert doors.alerts == []


def test_alertmanager_tries_again_where_nodes_could_not_be_told(
    doors: OpenDoors, alertmanager: httpx2.Client
) -> None:
    doors.api_answers = False
    try:
        assert alertmanager.post("/v1/alerts", json={"alerts": [SLOW]}).status_code == 503
    finally:
        doors.api_answers = True
    doors.leads = False
    try:
        assert alertmanager.post("/v1/alerts", json={"alerts": [SLOW]}).status_code == 503
    finally:
        doors.leads = True
    assert doors.alerts == []


def test_the_token_for_alerts_opens_no_file(alertmanager: httpx2.Client) -> None:
    assert alertmanager.get("/v1/packetcaptures/shop/c/capture").status_code == 401


def ids(*alerts: dict[str, Any]) -> set[str]:
    return {alert.id for alert in firing_alerts({"alerts": [*alerts]})}


def test_an_alert_has_one_name_until_it_is_resolved() -> None:
    again = SLOW | {"annotations": {"summary": "p99 is 4 s"}}
    assert len(ids(SLOW, again)) == 1
    assert len(ids(SLOW, SLOW | {"startsAt": "2026-11-30T13:00:00Z"}, SLOW | {"fingerprint": "77"})) == 3
    bare = {name: value for name, value in SLOW.items() if name != "fingerprint"}
    assert len(ids(bare, bare | {"labels": {"alertname": "Other"}})) == 2


def test_a_body_has_a_bounded_number_of_alerts() -> None:
    many = json_object(json.dumps({"alerts": [SLOW] * 1000}).encode())
    assert sum(1 for _ in firing_alerts(many)) == ALERTS_MAX
    with pytest.raises(BadRequestError):
        [*firing_alerts(json_object(b""))]
