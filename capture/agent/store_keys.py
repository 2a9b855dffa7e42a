"""The store that a capture names -> what opens it, by a right that the store's owner gave for that one thing.

A Secret is read as it is. A service account is a token for AWS, which the uploader exchanges for a role: session keys
are known to that process only, and the token is of no use for anything else.
"""

from capture.cluster.api import Api
from capture.cluster.objects import StoreOrder
from capture.store.store_credentials import WEB_TOKEN

WEB_AUDIENCE = "sts.amazonaws.com"


def store_keys(api: Api, order: StoreOrder) -> bytes:
    """Return a file of credentials. Raises ApiError."""
    spec = order.spec
    if spec.secret_ref is not None:
        return api.credentials(order.namespace, spec.secret_ref.name)
    token = api.account_token(order.namespace, spec.service_account_name or "", WEB_AUDIENCE)
    return f"[default]\n{WEB_TOKEN} = {token}\n".encode()
