"""A store of the shop, whatever it says: nothing of the bank is read for it, and nothing is sent to it."""

from collections.abc import Iterator
from typing import Any

import pytest

from testbed.patience import wait_until
from tests.control_plane.two_tenants import SHOP, TenantCapture, TwoTenants

OWN = {"target": {"pods": [{"name": "web"}]}}
URL = {"url": "s3://mine/", "endpoint": "http://127.0.0.1:9"}


@pytest.fixture(scope="module", autouse=True)
def store_of_the_bank(tenants: TwoTenants, secret: TenantCapture) -> None:
    """The bank has a store, and lets agents read its Secret, as deploy/store.yaml does it."""
    kubectl = tenants.plane.kubectl
    kubectl("create", "secret", "generic", "keys", "-n", "bank", "--from-literal=credentials=of the bank")
    kubectl("create", "role", "store", "-n", "bank", "--verb=get", "--resource=secrets", "--resource-name=keys")
    account = "--serviceaccount=bicap-system:bicap-agent"
    kubectl("create", "rolebinding", "store", "-n", "bank", "--role=store", account)
    done = tenants.create("carol", "CaptureStore", "bank", "prod", URL | {"secretRef": {"name": "keys"}})
    assert done.returncode == 0, done.stderr


@pytest.fixture
def stored(tenants: TwoTenants) -> Iterator[Any]:
    """Makes a capture of the shop that names a store; deletes it after the test."""
    made: list[TenantCapture] = []

    def make(store: str) -> TenantCapture:
        made.append(capture := tenants.capture("mallory", "shop", "stored", OWN | {"store": {"name": store}}))
        return capture

    yield make
    for capture in made:
        tenants.remove(capture)


def condition(capture: TenantCapture, kind: str) -> dict[str, Any]:
    return next((one for one in capture.status["conditions"] if one["type"] == kind), {})


@pytest.mark.parametrize("name", ["prod", "bank/prod", "../bank/prod", "..", "bank%2fprod"])
def test_the_store_of_the_bank_cannot_be_named(stored: Any, name: str) -> None:
    capture = stored(name)
    capture.until("Queued")
    assert "there is no CaptureStore shop/" in condition(capture, "Complete")["message"]
    assert capture.parts == []


@pytest.mark.parametrize(
    "name",
    [
        "../../bank/secrets/keys",
        "%2e%2e/%2e%2e/bank/secrets/keys",
        "..",
        "../secrets/keys",
        "keys?fieldManager=x",
        "keys#",
        "",
    ],
)
def test_a_secret_is_one_of_the_own_namespace(tenants: TwoTenants, name: str) -> None:
    done = tenants.create("mallory", "CaptureStore", "shop", "escape", URL | {"secretRef": {"name": name}})
    assert done.returncode == 1
    assert "spec.secretRef.name" in done.stderr


def test_a_name_that_only_the_bank_has_is_not_there(tenants: TwoTenants, stored: Any) -> None:
    done = tenants.create("mallory", "CaptureStore", "shop", "own", URL | {"secretRef": {"name": "keys"}})
    assert done.returncode == 0, done.stderr
    capture = stored("own")
    capture.until("Capturing")
    SHOP.ping()
    capture.stop()
    wait_until(lambda: condition(capture, "Uploaded").get("reason") == "UploadFailed", tenants.logs)
    assert "cannot get resource" in condition(capture, "Uploaded")["message"]


def test_a_folder_of_a_node_is_no_store(tenants: TwoTenants, stored: Any) -> None:
    spec = {"url": "file:///var/lib/bicap/other", "secretRef": {"name": "keys"}}
    assert tenants.create("mallory", "CaptureStore", "shop", "folder", spec).returncode == 0
    capture = stored("folder")
    capture.until("Queued")
    assert "is a folder of a node" in condition(capture, "Complete")["message"]
