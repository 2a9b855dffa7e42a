"""Names of objects are one part of a path each, whatever is in them."""

import pytest

from capture.cluster.api import LEASES, PACKET_CAPTURES, SECRETS
from capture.errors import ApiError


def test_an_object_has_its_path() -> None:
    assert SECRETS.path("shop", "keys") == "/api/v1/namespaces/shop/secrets/keys"
    assert LEASES.path("x") == "/apis/coordination.k8s.io/v1/namespaces/x/leases"
    assert PACKET_CAPTURES.path("shop", "c", "status").endswith("/namespaces/shop/packetcaptures/c/status")


@pytest.mark.parametrize("name", ["../../bank/secrets/keys", "..", ".", "a/b"])
def test_a_name_leads_to_no_other_object(name: str) -> None:
    with pytest.raises(ApiError, match="is not the name of an object"):
        SECRETS.path("shop", name)
    with pytest.raises(ApiError, match="is not the name of an object"):
        SECRETS.path(name, "keys")


def test_what_has_a_meaning_in_a_url_has_none_in_a_name() -> None:
    assert SECRETS.path("shop", "a?watch=1#b%2f") == "/api/v1/namespaces/shop/secrets/a%3Fwatch%3D1%23b%252f"
