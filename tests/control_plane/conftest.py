"""One API server and one pair of tenants for all tests here; its ports are free for a cluster afterwards."""

import os
from collections.abc import Iterator

import pytest

from tests.control_plane.two_tenants import BANK, TenantCapture, TwoTenants

# It needs the programs of Kubernetes, as the tests of a cluster do.
collect_ignore_glob = [] if os.environ.get("BICAP_CLUSTER") else ["test_*.py"]


@pytest.fixture(scope="package")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoTenants]:
    """The shop and the bank."""
    with TwoTenants(tmp_path_factory.mktemp("tenants")) as tenants:
        yield tenants


@pytest.fixture(scope="package")
def secret(tenants: TwoTenants) -> TenantCapture:
    """A capture of the bank that has ended, with packets: what nobody of the shop may get."""
    capture = tenants.capture("carol", "bank", "vault", {"target": {"pods": [{"name": BANK.name}]}})
    capture.until("Capturing")
    BANK.ping()
    capture.stop()
    assert len(capture.packets()) >= 6
    return capture
