"""A CaptureStore, and a capture that names it -> the store as agents get it, or why it cannot be used.

Agents use no credentials but those of the store: a store without a Secret would be opened by whatever their nodes are
allowed to do in a cloud.
"""

from typing import Any

import msgspec

from capture.cluster.kube import SYSTEM_NAMESPACE
from capture.cluster.objects import CaptureStoreObject, StoreOrder, StoreSpec
from capture.errors import SpecError
from capture.store_url import parse_store_url


def store_key(namespace: str, name: str) -> str:
    """Return NAMESPACE/NAME of the store that a capture names; one without a namespace has the system's stores."""
    return f"{namespace or SYSTEM_NAMESPACE}/{name}"


def order_for(namespace: str, name: str, found: CaptureStoreObject | None) -> StoreOrder:
    """Return the order for a store. Raises SpecError if there is none of the name, or if it is not valid."""
    key = store_key(namespace, name)
    if found is None:
        raise SpecError(f"there is no CaptureStore {key}")
    try:
        return StoreOrder(namespace=key.partition("/")[0], name=name, spec=_checked(found.spec))
    except (SpecError, msgspec.ValidationError) as error:
        raise SpecError(f"CaptureStore {key}: {error}") from None


def _checked(given: Any) -> StoreSpec:
    spec = msgspec.convert(given, StoreSpec)
    url = parse_store_url(spec.url, "spec.url")
    if url.is_local:
        raise SpecError("spec.url is a folder of a node; name a store")
    by_secret, by_account = bool(spec.secret_ref and spec.secret_ref.name), bool(spec.service_account_name)
    if not by_secret and not by_account:
        raise SpecError("spec.secretRef is missing: agents use no credentials but those of the store")
    if by_secret and by_account:
        raise SpecError("spec.secretRef and spec.serviceAccountName both open the store; give one of them")
    if by_account and (url.scheme != "s3" or not spec.role_arn):
        raise SpecError("spec.serviceAccountName is for s3, with the role that it takes in spec.roleARN")
    if not by_account and (spec.role_arn or spec.sts_endpoint):
        raise SpecError("spec.roleARN and spec.stsEndpoint are for spec.serviceAccountName, which is missing")
    if spec.sts_endpoint and not spec.sts_endpoint.startswith("https://"):
        raise SpecError("spec.stsEndpoint does not begin with https://, and gets a token")
    if url.scheme == "sftp" and not (spec.host_key or "").strip():
        raise SpecError("spec.hostKey is missing: the key of an SFTP server is always checked")
    return spec
