"""Who gets what: secrets at the users' door, tokens at the agents' door; each refusal is a line in the log."""

import base64
import hashlib
import logging
import secrets
import ssl
from collections.abc import Iterator
from datetime import timedelta

import httpx2
import pytest

from capture.retrieval import users_door
from capture.retrieval.orders import ORDERS_PATH
from capture.retrieval.tls_identity import make_identity, trusting
from tests.unit.retrieval.doors import NODE, NOW, OpenDoors, open_doors


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    with open_doors(tmp_path_factory.mktemp("doors") / "bicap") as doors:
        doors.keep(doors.cluster.add("c", "shop"), b"packets")
        doors.keep(doors.cluster.add("c", "bank"), b"others")
        doors.keep(doors.cluster.add("all", ""), b"everything", "all-n1.pcapng")
        doors.connected()
        yield doors


@pytest.fixture(autouse=True)
def _as_it_was(doors: OpenDoors, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(users_door, "LAG_SECONDS", 0.0)
    yield
    doors.leads, doors.now = True, NOW


def refused(doors: OpenDoors, token: str | None, status: int, words: str, caplog: pytest.LogCaptureFixture) -> None:
    """The answer is this refusal, in one line, and the log has it."""
    caplog.clear()
    answer = doors.get("/v1/capture", token)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert words in error
    assert "\n" not in error
    (record,) = [one for one in caplog.records if one.name == "bicap.audit"]
    assert error in record.getMessage()
    assert record.levelno == logging.WARNING


def test_an_access_reaches_the_capture_that_it_names(doors: OpenDoors, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for name, namespace, kind, uid in (
        ("c", "shop", "PacketCapture", "uid-c-shop"),
        ("c", "bank", "PacketCapture", "uid-c-bank"),
        ("all", "bicap-system", "ClusterPacketCapture", "uid-all-"),
    ):
        found = doors.get("/v1/capture", doors.allow(name, namespace, kind))
        assert found.json()["capture"]["uid"] == uid
        record = next(one for one in reversed(caplog.records) if one.message == "access granted")
        assert vars(record)["uid"] == uid
        assert vars(record)["access"].startswith(f"{namespace}/access-")


@pytest.mark.parametrize("token", [None, "x", "?", "a" * 43, base64.urlsafe_b64encode(bytes(33)).decode()])
def test_without_a_secret_there_is_nothing(
    doors: OpenDoors, token: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    refused(doors, token, 401, "", caplog)


def test_a_guess_is_refused(doors: OpenDoors, caplog: pytest.LogCaptureFixture) -> None:
    doors.allow("c", "shop")
    guess = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    refused(doors, guess, 401, "no CaptureAccess has this secret", caplog)


def test_the_hash_that_is_in_the_object_is_not_the_secret(doors: OpenDoors, caplog: pytest.LogCaptureFixture) -> None:
    token = doors.allow("c", "shop")
    digest = hashlib.sha256(base64.urlsafe_b64decode(token + "=")).digest()
    refused(doors, base64.urlsafe_b64encode(digest).decode().rstrip("="), 401, "no CaptureAccess", caplog)


def test_an_access_ends_when_it_says(doors: OpenDoors, caplog: pytest.LogCaptureFixture) -> None:
    token = doors.allow("c", "shop", seconds=60)
    doors.now = NOW + timedelta(seconds=59)
    assert doors.get("/v1/capture", token).status_code == 200
    doors.now = NOW + timedelta(seconds=60)
    refused(doors, token, 410, "make another", caplog)


def test_an_access_ends_after_ten_minutes_whatever_it_says(
    doors: OpenDoors, caplog: pytest.LogCaptureFixture
) -> None:
    token = doors.allow("c", "shop", seconds=1e6)
    doors.now = NOW + timedelta(minutes=10)
    refused(doors, token, 410, "make another", caplog)


def test_an_access_that_was_deleted_is_remembered_as_ended(
    doors: OpenDoors, caplog: pytest.LogCaptureFixture
) -> None:
    token = doors.allow("c", "shop")
    doors.book.remove(next(reversed(doors.book._open)))
    refused(doors, token, 410, "has ended", caplog)


def test_an_access_reaches_its_own_namespace_only(doors: OpenDoors, caplog: pytest.LogCaptureFixture) -> None:
    refused(doors, doors.allow("all", "shop", "ClusterPacketCapture"), 403, "must be in bicap-system", caplog)
    refused(doors, doors.allow("all", "shop"), 404, "does not exist in namespace shop", caplog)
    refused(doors, doors.allow("../bank/c", "shop"), 404, "does not exist", caplog)


def test_an_access_does_not_reach_a_later_capture_of_the_same_name(
    doors: OpenDoors, caplog: pytest.LogCaptureFixture
) -> None:
    token = doors.allow("again", "shop")
    doors.cluster.add("again", "shop", NOW + timedelta(seconds=1))
    refused(doors, token, 403, "was made after", caplog)


def test_a_secret_is_good_for_one_capture(doors: OpenDoors) -> None:
    token = doors.allow("c", "shop")
    assert doors.get(f"/v1/files/{NODE}/c-n1.pcapng", token).content == b"packets"
    assert doors.get(f"/v1/files/{NODE}/all-n1.pcapng", token).status_code == 404
    assert doors.get(f"/v1/files/{NODE}/c-n1.pcapng", doors.allow("c", "bank")).content == b"others"


@pytest.mark.parametrize(
    "wrong",
    [
        {"secretSHA256": "abc"},
        {"expires": "soon"},
        {"expires": "2026-11-30T12:00:00"},
        {"capture": "c"},
        {"capture": {}},
    ],
)
def test_an_object_that_makes_no_sense_opens_nothing_and_is_removed(doors: OpenDoors, wrong: dict) -> None:
    token = doors.allow("c", "shop", **wrong)
    assert doors.get("/v1/capture", token).status_code == 401
    assert any(doors.book.has_ended(uid, NOW) for uid in doors.book._useless)


def test_a_hash_that_is_copied_into_another_access_leads_its_maker_nowhere_else(doors: OpenDoors) -> None:
    secret = doors.allow("c", "bank")
    digest = hashlib.sha256(base64.urlsafe_b64decode(secret + "=")).hexdigest()
    doors.allow("c", "shop", created=NOW + timedelta(seconds=1), secretSHA256=digest)
    assert doors.get("/v1/capture", secret).json()["capture"]["uid"] == "uid-c-bank"


def test_a_controller_that_does_not_lead_serves_nobody(doors: OpenDoors, caplog: pytest.LogCaptureFixture) -> None:
    token = doors.allow("c", "shop")
    doors.leads = False
    refused(doors, token, 503, "does not lead", caplog)


# Agents.


def order_stream(doors: OpenDoors, token: str, node: str) -> tuple[int, str]:
    """Ask for orders. Returns the status, and the error."""
    address, context = f"https://127.0.0.1:{doors.agents_port}", trusting(doors.identity.authority)
    with (
        httpx2.Client(base_url=address, verify=context, trust_env=False) as client,
        client.stream(
            "GET", ORDERS_PATH, params={"node": node}, headers={"Authorization": f"Bearer {token}"}
        ) as answer,
    ):
        return answer.status_code, "" if answer.status_code == 200 else answer.read().decode()


@pytest.mark.parametrize(
    ("token", "node", "status", "words"),
    [
        ("of n2", "n2", 200, ""),
        ("of n2", "n1", 403, "the token is of node n2"),
        ("made up", "n1", 401, "not good for bicap-controller"),
        ("of a pod that is gone", "n1", 403, "pod-3"),
    ],
)
def test_an_agent_speaks_for_the_node_of_its_pod_only(
    doors: OpenDoors, token: str, node: str, status: int, words: str
) -> None:
    found, error = order_stream(doors, token, node)
    assert found == status
    assert words in error


def test_another_agent_cannot_answer_for_a_node(doors: OpenDoors) -> None:
    context = trusting(doors.identity.authority)
    with httpx2.Client(base_url=f"https://127.0.0.1:{doors.agents_port}", verify=context, trust_env=False) as client:
        headers = {"Authorization": "Bearer of n2", "Bicap-Answer": "{}"}
        assert client.post("/v1/answers/made-up", content=b"lies", headers=headers).status_code == 410


def test_a_server_with_another_authority_is_not_told_the_token(doors: OpenDoors) -> None:
    other = trusting(make_identity("127.0.0.1").authority)
    with (
        httpx2.Client(verify=other, trust_env=False) as client,
        pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get(f"https://127.0.0.1:{doors.agents_port}{ORDERS_PATH}")


def test_the_door_for_agents_speaks_nothing_older_than_tls_1_3(doors: OpenDoors) -> None:
    context = trusting(doors.identity.authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with httpx2.Client(verify=context, trust_env=False) as client, pytest.raises(httpx2.ConnectError):
        client.get(f"https://127.0.0.1:{doors.agents_port}{ORDERS_PATH}")
