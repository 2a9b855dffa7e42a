"""Whatever someone of the shop shows at a door: nothing of the bank's captures comes out."""

import base64
import hashlib
import json
import secrets
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from capture.cluster.kube import SYSTEM_NAMESPACE
from capture.retrieval.orders import ANSWERS_PATH, AUDIENCE, ORDERS_PATH
from capture.retrieval.robot_tokens import ROBOT_AUDIENCE
from testbed.patience import wait_until
from tests.control_plane.two_tenants import (
    AGENTS_PORT,
    CONTROLLER_ADDRESS,
    NODE,
    OF_SHOP,
    ROBOTS_PORT,
    SHOP,
    TenantCapture,
    TwoTenants,
)

SECTION_HEADER = bytes.fromhex("0a0d0d0a")
OWN = {"target": {"pods": [{"name": "web"}]}}


@pytest.fixture(scope="module")
def own(tenants: TwoTenants) -> TenantCapture:
    """A capture of the shop, with the name that the bank's has."""
    capture = tenants.capture("alice", "shop", "vault", OWN)
    capture.until("Capturing")
    SHOP.ping()
    capture.stop()
    return capture


def access(
    tenants: TwoTenants, user: str, namespace: str, name: str, kind: str = "PacketCapture", sha256: str = ""
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Try to make a CaptureAccess. Returns what became of that, and the token."""
    secret = secrets.token_bytes(32)
    spec = {
        "capture": {"kind": kind, "name": name},
        "secretSHA256": sha256 or hashlib.sha256(secret).hexdigest(),
        "expires": (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    done = tenants.create(user, "CaptureAccess", namespace, f"a-{secrets.token_hex(4)}", spec)
    return done, base64.urlsafe_b64encode(secret).decode().rstrip("=")


def allowed(tenants: TwoTenants, user: str, namespace: str, name: str, **how: Any) -> str:
    """Make a CaptureAccess as somebody who may. Returns the token."""
    done, token = access(tenants, user, namespace, name, **how)
    assert done.returncode == 0, done.stderr
    return token


def _next_second() -> None:
    """Return in another second: objects have their times in seconds."""
    now = datetime.now(UTC).second
    wait_until(lambda: datetime.now(UTC).second != now)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_bank_itself_gets_its_files(tenants: TwoTenants, secret: TenantCapture) -> None:
    token = allowed(tenants, "carol", "bank", "vault")
    with tenants.door() as client:
        assert client.get("/v1/capture", headers=bearer(token)).json()["capture"]["uid"] == secret.uid
        fetched = client.get(f"/v1/files/{NODE}/vault-n1.pcapng", headers=bearer(token))
    assert fetched.content == (secret.folder / "vault-n1.pcapng").read_bytes()


@pytest.mark.parametrize("user", OF_SHOP)
def test_nobody_of_the_shop_may_make_an_access_elsewhere(tenants: TwoTenants, user: str) -> None:
    for namespace in ("bank", SYSTEM_NAMESPACE):
        done, _ = access(tenants, user, namespace, "vault")
        assert "forbidden" in done.stderr


NAMES = ["bank/vault", "../bank/vault", "bank%2fvault", "vault\n", "{uid}", "{uid}-of-n1", "*", "", "."]
OTHER_KINDS = ["ClusterPacketCapture", "NodeCapture", "PacketCapture.crd.antrea.io", ""]


@pytest.mark.parametrize(
    ("kind", "name"), [*(("PacketCapture", name) for name in NAMES), *((kind, "vault") for kind in OTHER_KINDS)]
)
def test_an_access_of_the_shop_names_nothing_of_the_bank(
    tenants: TwoTenants, secret: TenantCapture, own: TenantCapture, kind: str, name: str
) -> None:
    done, token = access(tenants, "alice", "shop", name.format(uid=secret.uid), kind)
    assert done.returncode == 0, done.stderr
    with tenants.door() as client:
        assert client.get("/v1/capture", headers=bearer(token)).status_code in (403, 404)


def test_the_same_name_is_the_own_capture(tenants: TwoTenants, secret: TenantCapture, own: TenantCapture) -> None:
    token = allowed(tenants, "alice", "shop", "vault")
    with tenants.door() as client:
        assert client.get("/v1/capture", headers=bearer(token)).json()["capture"]["uid"] == own.uid
        fetched = client.get(f"/v1/files/{NODE}/vault-n1.pcapng", headers=bearer(token))
    assert fetched.content == (own.folder / "vault-n1.pcapng").read_bytes()
    assert fetched.content != (secret.folder / "vault-n1.pcapng").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/n1/..%2f{uid}%2fvault-n1.pcapng",
        "/v1/files/n1/%2e%2e%2f{uid}%2fvault-n1.pcapng",
        "/v1/files/n1/{home}%2f{uid}%2fvault-n1.pcapng",
        "/v1/files/n1/..%2f..%2f..%2fetc%2fshadow",
        "/v1/files/n1/vault-n1.pcapng%00.json",
        "/v1/files/n1/state.json",
        "/v1/files/n1/..%2f.lock",
        "/v1/files/n1%2f..%2f{uid}/vault-n1.pcapng",
        "/v1/files/..%2fn1/vault-n1.pcapng",
        "/v1/files/{uid}/vault-n1.pcapng",
        "/v1/files/n1/{uid}",
    ],
)
def test_a_path_leads_to_files_of_the_own_capture_only(
    tenants: TwoTenants, secret: TenantCapture, own: TenantCapture, path: str
) -> None:
    token = allowed(tenants, "alice", "shop", "vault")
    home = str(tenants.home).replace("/", "%2f")
    with tenants.door() as client:
        for method in ("GET", "HEAD"):
            answer = client.request(method, path.format(uid=secret.uid, home=home), headers=bearer(token))
            assert answer.status_code in (404, 405)
            assert SECTION_HEADER not in answer.content


def test_a_hash_that_was_read_is_of_no_use_and_does_no_harm(
    tenants: TwoTenants, secret: TenantCapture, own: TenantCapture
) -> None:
    """Somebody who has seen the object of another access copies its hash: its maker still gets what he asked for."""
    done, token = access(tenants, "carol", "bank", "vault")
    assert done.returncode == 0
    digest = hashlib.sha256(base64.urlsafe_b64decode(token + "=")).hexdigest()
    with tenants.door() as client:
        assert client.get("/v1/capture", headers=bearer(token)).status_code == 200
        _next_second()
        copied, _ = access(tenants, "mallory", "shop", "vault", sha256=digest)
        assert copied.returncode == 0
        settled = allowed(tenants, "mallory", "shop", "vault")  # the controller knows the copy when it knows this
        assert client.get("/v1/capture", headers=bearer(settled)).status_code == 200
        assert client.get("/v1/capture", headers=bearer(token)).json()["capture"]["uid"] == secret.uid
        as_secret = base64.urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip("=")
        assert client.get("/v1/capture", headers=bearer(as_secret)).status_code == 401


def test_an_access_does_not_follow_a_name_to_a_later_capture(tenants: TwoTenants) -> None:
    """Else whoever may make accesses today could read what others capture under that name tomorrow."""
    early = allowed(tenants, "alice", "shop", "later")
    _next_second()
    capture = tenants.capture("alice", "shop", "later", OWN)
    with tenants.door() as client:
        wait_until(lambda: client.get("/v1/capture", headers=bearer(early)).status_code == 403)
    tenants.remove(capture)


# The door of agents.


def at_the_agents_door(tenants: TwoTenants, token: str, node: str = NODE) -> list[int]:
    """Ask for the orders of a node, and answer one. Returns the answers' codes."""
    found = tenants.plane.get("configmap", "bicap-controller", "-n", SYSTEM_NAMESPACE)["data"]
    context = ssl.create_default_context(cadata=found["authority"])
    codes = []
    with httpx2.Client(
        base_url=f"https://{CONTROLLER_ADDRESS}:{AGENTS_PORT}", verify=context, trust_env=False
    ) as client:
        for method, path in (("GET", f"{ORDERS_PATH}?node={node}"), ("POST", f"{ANSWERS_PATH}guess")):
            with client.stream(method, path, headers=bearer(token) | {"Bicap-Answer": "{}"}) as answer:
                codes.append(answer.status_code)
    return codes


def test_tokens_of_others_open_no_way_to_what_agents_have(tenants: TwoTenants, secret: TenantCapture) -> None:
    plane = tenants.plane
    wait_until(lambda: plane.try_kubectl("get", "serviceaccount", "default", "-n", "shop").returncode == 0)
    tokens = {
        "of the shop": plane.service_account("shop", "default", audience=AUDIENCE),
        "of a pod of the shop": plane.service_account("shop", "default", SHOP.name, AUDIENCE),
        "of an agent's account without a pod": plane.service_account(
            SYSTEM_NAMESPACE, "bicap-agent", audience=AUDIENCE
        ),
        "for the API server": plane.service_account(SYSTEM_NAMESPACE, "bicap-agent", "bicap-agent-n1"),
        "of another node's agent": plane.service_account(SYSTEM_NAMESPACE, "bicap-agent", "bicap-agent-n2", AUDIENCE),
        "of the controller": plane.service_account(
            SYSTEM_NAMESPACE, "bicap-controller", "bicap-controller-0", AUDIENCE
        ),
        "of an access": allowed(tenants, "carol", "bank", "vault"),
    }
    found = {name: at_the_agents_door(tenants, token) for name, token in tokens.items()}
    known = {"of another node's agent": [403, 410]}
    assert found == {name: known.get(name, [403, 403]) for name in tokens} | {
        name: [401, 401] for name in ("for the API server", "of an access")
    }


def test_the_tokens_of_agents_are_not_for_users(tenants: TwoTenants) -> None:
    body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    path = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/serviceaccounts/bicap-agent/token"
    for user in OF_SHOP:
        done = tenants.plane.try_kubectl("create", "--raw", path, "-f", "-", user=user, stdin=body)
        assert "forbidden" in done.stderr.lower()


# The door of programs.


@pytest.fixture(scope="module")
def robot(tenants: TwoTenants) -> str:
    """A token of a program of the shop, which may fetch what is captured there."""
    kubectl = tenants.plane.kubectl
    kubectl("create", "serviceaccount", "robot", "-n", "shop")
    role = ("--clusterrole=bicap-downloader", "--serviceaccount=shop:robot")
    kubectl("create", "rolebinding", "robot", "-n", "shop", *role)
    return tenants.plane.service_account("shop", "robot", audience=ROBOT_AUDIENCE)


def at_the_door_of_programs(tenants: TwoTenants, token: str, path: str) -> httpx2.Response:
    found = tenants.plane.get("configmap", "bicap-controller", "-n", SYSTEM_NAMESPACE)["data"]
    context = ssl.create_default_context(cadata=found["authority"])
    address = f"https://{CONTROLLER_ADDRESS}:{ROBOTS_PORT}"
    with httpx2.Client(base_url=address, verify=context, trust_env=False, timeout=30) as client:
        return client.get(path, headers=bearer(token))


def test_a_program_of_the_shop_gets_what_the_shop_has(tenants: TwoTenants, robot: str, own: TenantCapture) -> None:
    answer = at_the_door_of_programs(tenants, robot, "/v1/packetcaptures/shop/vault/capture")
    assert answer.json()["capture"]["uid"] == own.uid


@pytest.mark.parametrize(
    "path",
    [
        "/v1/packetcaptures/bank/vault/capture",
        "/v1/packetcaptures/bank/vault/files/n1/vault-n1.pcapng",
        "/v1/packetcaptures/bank/vault/live",
        "/v1/packetcaptures/bank/nothing/capture",
        "/v1/packetcaptures/shop%2f..%2fbank/vault/capture",
        "/v1/packetcaptures/shop/..%2f..%2fbank%2fvault/capture",
        "/v1/packetcaptures/shop/..%2fbank%2fvault/capture",
        "/v1/packetcaptures/%2abank/vault/capture",
        "/v1/packetcaptures/*/vault/capture",
        "/v1/packetcaptures//vault/capture",
        "/v1/clusterpacketcaptures/vault/capture",
        "/v1/clusterpacketcaptures/{uid}/capture",
        "/v1/packetcaptures/shop/vault/files/n1/..%2f{uid}%2fvault-n1.pcapng",
        "/v1/packetcaptures/shop/{uid}/capture",
    ],
)
def test_it_gets_nothing_that_the_bank_has(
    tenants: TwoTenants, robot: str, own: TenantCapture, secret: TenantCapture, path: str
) -> None:
    answer = at_the_door_of_programs(tenants, robot, path.format(uid=secret.uid))
    assert answer.status_code in (403, 404)
    assert SECTION_HEADER not in answer.content
    assert secret.status["nodes"][0]["files"][0]["sha256"] not in answer.text


def test_other_tokens_are_not_for_programs(tenants: TwoTenants, own: TenantCapture, secret: TenantCapture) -> None:
    plane = tenants.plane
    tokens = [
        plane.service_account("shop", "robot"),
        plane.service_account("shop", "robot", audience=AUDIENCE),
        plane.service_account(SYSTEM_NAMESPACE, "bicap-agent", "bicap-agent-n1", AUDIENCE),
        allowed(tenants, "alice", "shop", "vault"),
        allowed(tenants, "carol", "bank", "vault"),
    ]
    for token in tokens:
        for namespace in ("shop", "bank"):
            path = f"/v1/packetcaptures/{namespace}/vault/capture"
            assert at_the_door_of_programs(tenants, token, path).status_code == 401
