"""Requests to the API server -> structs. lightkube reads the configuration; requests and watches are made here.

A watch here has a time after which a silent server counts as gone, and gives bytes to structs that have only the
fields that matter: a cluster has many pods.
"""

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx2
import msgspec
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig

from capture.cluster.kube import (
    AccessReview,
    ConfigMap,
    Endpoints,
    KubePod,
    KubeStruct,
    Lease,
    Secret,
    ServiceAccount,
    TokenRequest,
    TokenReview,
)
from capture.cluster.objects import CaptureAccess, CaptureObject, CaptureStoreObject, NodeCapture
from capture.errors import ApiError, SpecError

T = TypeVar("T", bound=KubeStruct)
OWN_GROUP = "bicap.io"
WATCH_SECONDS = 240
"""Time after which the server ends a watch, and it is begun again."""
_SILENCE_SECONDS = 30.0
"""Longest silence of a watch beyond that, after which the server counts as gone."""
_TIMEOUT_SECONDS = 10.0
_PAGE = 500
CREDENTIALS_KEY = "credentials"
"""Key of a Secret with the credentials of a store: a file as for --store-credentials."""


@dataclass(frozen=True)
class Resource(Generic[T]):
    """A kind of objects: where they are, and the struct that they are read into."""

    group_version: str
    plural: str
    kind: str
    type: type[T]
    namespaced: bool = True

    @property
    def full_kind(self) -> str:
        """The kind; with its group, if that is not ours."""
        group = self.group_version.partition("/")[0]
        return self.kind if group == OWN_GROUP else f"{self.kind}.{group}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of an object, or of all objects."""
        root = "api" if "/" not in self.group_version else "apis"
        space = f"namespaces/{_one_part(namespace)}" if namespace and self.namespaced else ""
        last = _one_part(name) if name else ""
        return "/" + "/".join(filter(None, (root, self.group_version, space, self.plural, last, subresource)))


def _one_part(name: str) -> str:
    """Return a name as one part of a path. Raises ApiError: some names come from objects of users."""
    if name in (".", "..") or "/" in name:
        raise ApiError(f"{name!r} is not the name of an object", 400)
    return quote(name, safe="")


PODS = Resource("v1", "pods", "Pod", KubePod)
SECRETS = Resource("v1", "secrets", "Secret", Secret)
LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease", Lease)
PACKET_CAPTURES = Resource("bicap.io/v1alpha1", "packetcaptures", "PacketCapture", CaptureObject)
CLUSTER_PACKET_CAPTURES = Resource(
    "bicap.io/v1alpha1", "clusterpacketcaptures", "ClusterPacketCapture", CaptureObject, namespaced=False
)
CAPTURE_ACCESSES = Resource("bicap.io/v1alpha1", "captureaccesses", "CaptureAccess", CaptureAccess)
CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap", ConfigMap)
TOKEN_REVIEWS = Resource("authentication.k8s.io/v1", "tokenreviews", "TokenReview", TokenReview, namespaced=False)
ACCESS_REVIEWS = Resource(
    "authorization.k8s.io/v1", "subjectaccessreviews", "SubjectAccessReview", AccessReview, namespaced=False
)
ENDPOINTS = Resource("v1", "endpoints", "Endpoints", Endpoints)
SERVICE_ACCOUNTS = Resource("v1", "serviceaccounts", "ServiceAccount", ServiceAccount)
CAPTURE_STORES = Resource("bicap.io/v1alpha1", "capturestores", "CaptureStore", CaptureStoreObject)
NODE_CAPTURES = Resource("bicap.io/v1alpha1", "nodecaptures", "NodeCapture", NodeCapture)


class _ListMeta(KubeStruct):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Page(KubeStruct):
    metadata: _ListMeta
    items: msgspec.Raw


class _Status(KubeStruct):
    message: str = ""
    code: int = 0


class _Event(KubeStruct):
    type: str
    object: msgspec.Raw


class Api:
    """A connection to the API server. Methods raise ApiError."""

    def __init__(self, kubeconfig: str | None = None) -> None:
        try:
            found = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_env()
            config = found.get()
            assert config is not None
            self._http = client_adapter.Client(
                config, client_adapter.ConnectionParams(timeout=httpx2.Timeout(_TIMEOUT_SECONDS), trust_env=False)
            )
        except Exception as error:  # lightkube's own, those of YAML, of ssl and of files
            where = kubeconfig or "the service account, or KUBECONFIG"
            raise SpecError(f"no API server can be reached with {where}: {' '.join(str(error).split())}") from None

    def list(self, resource: Resource[T], namespace: str = "", labels: str = "") -> tuple[list[T], str]:
        """Return all objects, and the version from which to watch."""
        items: list[T] = []
        query = {"limit": str(_PAGE)} | ({"labelSelector": labels} if labels else {})
        while True:
            answer = self._send("GET", resource.path(namespace), query)
            found = msgspec.json.decode(answer, type=_Page)
            items += msgspec.json.decode(found.items, type=list[resource.type])  # type: ignore[name-defined]
            if not found.metadata.continue_:
                return items, found.metadata.resource_version
            query["continue"] = found.metadata.continue_

    def get(self, resource: Resource[T], name: str, namespace: str = "") -> T | None:
        """Return an object; None if there is none of the name."""
        try:
            answer = self._send("GET", resource.path(namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return msgspec.json.decode(answer, type=resource.type)

    def credentials(self, namespace: str, name: str) -> bytes:
        """Return the credentials that a Secret has for a store."""
        found = self.get(SECRETS, name, namespace)
        if found is None or CREDENTIALS_KEY not in found.data:
            missing = f"has no key {CREDENTIALS_KEY}" if found is not None else "does not exist"
            raise ApiError(f"Secret {namespace}/{name} {missing}", 404)
        return base64.b64decode(found.data[CREDENTIALS_KEY])

    def account_token(self, namespace: str, name: str, audience: str) -> str:
        """Return a token of a service account, for an hour."""
        spec = {"audiences": [audience], "expirationSeconds": 3600}
        kind = {"apiVersion": TOKEN_REVIEWS.group_version, "kind": "TokenRequest"}
        answer = self._send("POST", SERVICE_ACCOUNTS.path(namespace, name, "token"), body=kind | {"spec": spec})
        return msgspec.json.decode(answer, type=TokenRequest).status.token

    def watch(
        self, resource: Resource[T], version: str, namespace: str = "", labels: str = ""
    ) -> Iterator[tuple[str, T]]:
        """Yield changes (ADDED, MODIFIED, DELETED, and the object) after a version, until the server ends it."""
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        query |= {"labelSelector": labels} if labels else {}
        timeout = httpx2.Timeout(_TIMEOUT_SECONDS, read=WATCH_SECONDS + _SILENCE_SECONDS)
        try:
            with self._http.stream("GET", resource.path(namespace), params=query, timeout=timeout) as answer:
                if answer.status_code >= 400:
                    raise _refusal(answer.status_code, answer.read())
                for line in answer.iter_lines():
                    event = msgspec.json.decode(line, type=_Event)
                    if event.type == "ERROR":
                        status = msgspec.json.decode(event.object, type=_Status)
                        raise ApiError(f"the API server ended a watch: {status.message}", status.code)
                    yield event.type, msgspec.json.decode(event.object, type=resource.type)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise _unreachable(error) from None

    def create(self, resource: Resource[Any], body: dict[str, Any], namespace: str = "") -> None:
        """Make an object."""
        full = {"apiVersion": resource.group_version, "kind": resource.kind} | body
        self._send("POST", resource.path(namespace), body=full)

    def ask(self, resource: Resource[T], spec: dict[str, Any]) -> T:
        """Return the answer to a question that is asked as an object, like a TokenReview; nothing is kept."""
        full = {"apiVersion": resource.group_version, "kind": resource.kind, "metadata": {}, "spec": spec}
        return msgspec.json.decode(self._send("POST", resource.path(), body=full), type=resource.type)

    def replace(self, resource: Resource[T], body: dict[str, Any], namespace: str = "") -> T:
        """Replace an object that has the version in `body`."""
        full = {"apiVersion": resource.group_version, "kind": resource.kind} | body
        answer = self._send("PUT", resource.path(namespace, body["metadata"]["name"]), body=full)
        return msgspec.json.decode(answer, type=resource.type)

    def patch(
        self, resource: Resource[Any], name: str, patch: dict[str, Any], namespace: str = "", uid: str = ""
    ) -> None:
        """Change fields of an object: a JSON merge patch; with `uid`, only if the object is still that one."""
        body = patch | ({"metadata": {**patch.get("metadata", {}), "uid": uid}} if uid else {})
        self._send("PATCH", resource.path(namespace, name), body=body, kind="application/merge-patch+json")

    def set_status(self, resource: Resource[Any], name: str, status: Any, namespace: str = "") -> None:
        """Replace the whole status of an object."""
        body = [{"op": "add", "path": "/status", "value": status}]
        path = resource.path(namespace, name, "status")
        self._send("PATCH", path, body=body, kind="application/json-patch+json")

    def delete(self, resource: Resource[Any], name: str, namespace: str = "", uid: str = "") -> None:
        """Delete an object; with `uid`, only if it is still that one. Nothing happens if it is gone."""
        body = {"preconditions": {"uid": uid}} if uid else {}
        with contextlib.suppress(GoneError):
            self._send("DELETE", resource.path(namespace, name), body=body)

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        kind: str = "application/json",
    ) -> bytes:
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer = self._http.request(method, path, params=query, content=content, headers={"Content-Type": kind})
        except httpx2.HTTPError as error:
            raise _unreachable(error) from None
        if answer.status_code >= 400:
            raise _refusal(answer.status_code, answer.content)
        return answer.content

    def close(self) -> None:
        """End the connections."""
        self._http.close()


class GoneError(ApiError):
    """The object does not exist, or is another one by now."""


def _refusal(code: int, body: bytes) -> ApiError:
    try:
        message = msgspec.json.decode(body, type=_Status).message
    except msgspec.DecodeError:
        message = body[:200].decode(errors="replace")
    kind = GoneError if code in (404, 409) else ApiError
    return kind(f"the API server refuses ({code}): {' '.join(message.split())}", code)


def _unreachable(error: Exception) -> ApiError:
    return ApiError(f"the API server does not answer ({type(error).__name__}: {error})", 0)
