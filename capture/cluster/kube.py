"""Objects of Kubernetes -> structs with the fields that matter here; others are ignored."""

from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import msgspec

from capture.filters.podname import PodName
from capture.selection.pod import Container, Pod

SYSTEM_NAMESPACE = "bicap-system"
LEASE_NAMESPACE = "bicap-node-lease"
"""Where agents keep their leases, each under the name of its node. RBAC knows no patterns of names, so an agent that
may make leases may make any: here are none but theirs."""
_FINAL = ("Succeeded", "Failed")


class KubeStruct(msgspec.Struct, rename="camel", kw_only=True):
    """A part of an object."""


class ObjectMetadata(KubeStruct):
    """ObjectMeta."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: list[str] = []
    labels: dict[str, str] = {}


class PodIp(KubeStruct):
    """An address of a pod."""

    ip: str = ""


class ContainerStatus(KubeStruct):
    """A container; its ID has the runtime's name before it."""

    name: str
    container_id: str = msgspec.field(name="containerID", default="")
    state: dict[str, Any] = {}


class PodSpec(KubeStruct):
    """Where a pod runs."""

    node_name: str = ""
    host_network: bool = False


class PodStatus(KubeStruct):
    """How a pod does."""

    phase: str = ""
    pod_ips: list[PodIp] = msgspec.field(name="podIPs", default_factory=list)
    container_statuses: list[ContainerStatus] = []


class KubePod(KubeStruct):
    """A pod as the API server knows it."""

    metadata: ObjectMetadata
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    @property
    def runs(self) -> bool:
        """True if the pod is on a node, and may send packets."""
        return bool(self.spec.node_name) and self.status.phase not in _FINAL

    def pod(self) -> Pod:
        """Return the pod as selections see it; its sandbox is known by its runtime only."""
        return Pod(
            name=PodName(self.metadata.namespace, self.metadata.name),
            uid=self.metadata.uid,
            sandbox="",
            ready=True,
            labels=self.metadata.labels,
            addresses=tuple(ip_address(one.ip) for one in self.status.pod_ips if one.ip),
            host_network=self.spec.host_network,
            containers=tuple(
                Container(one.name, one.container_id.rpartition("/")[2], "running" in one.state)
                for one in self.status.container_statuses
            ),
        )


class Secret(KubeStruct):
    """A Secret; its values are in base64."""

    metadata: ObjectMetadata
    data: dict[str, str] = {}


class ServiceAccount(KubeStruct):
    """A service account."""

    metadata: ObjectMetadata


class TokenRequestStatus(KubeStruct):
    """A token that was made."""

    token: str = ""


class TokenRequest(KubeStruct):
    """The answer to a request for a token."""

    status: TokenRequestStatus = msgspec.field(default_factory=TokenRequestStatus)


class LeaseSpec(KubeStruct):
    """Who holds a lease, and since when."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: datetime | None = None
    acquire_time: datetime | None = None
    lease_transitions: int | None = None


class Lease(KubeStruct):
    """A lease of coordination.k8s.io."""

    metadata: ObjectMetadata
    spec: LeaseSpec = msgspec.field(default_factory=LeaseSpec)


class ConfigMap(KubeStruct):
    """A ConfigMap."""

    metadata: ObjectMetadata
    data: dict[str, str] = {}


class ReviewedUser(KubeStruct):
    """Whom a token belongs to; `extra` has the pod that it was made for."""

    username: str = ""
    uid: str = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}


class TokenReviewStatus(KubeStruct):
    """What the API server says of a token."""

    authenticated: bool = False
    user: ReviewedUser = msgspec.field(default_factory=ReviewedUser)
    audiences: list[str] = []
    error: str = ""


class TokenReview(KubeStruct):
    """The answer to the question whose a token is."""

    status: TokenReviewStatus = msgspec.field(default_factory=TokenReviewStatus)


class AccessReviewStatus(KubeStruct):
    """What the API server says of a right."""

    allowed: bool = False


class AccessReview(KubeStruct):
    """The answer to the question if somebody may do something."""

    status: AccessReviewStatus = msgspec.field(default_factory=AccessReviewStatus)


class EndpointAddress(KubeStruct):
    """An address behind a Service."""

    ip: str = ""


class EndpointSubset(KubeStruct):
    """Addresses that serve the same ports."""

    addresses: list[EndpointAddress] = []


class Endpoints(KubeStruct):
    """What is behind a Service."""

    metadata: ObjectMetadata
    subsets: list[EndpointSubset] = []


def now() -> datetime:
    """Return the present time as objects have it, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


_AS_GIVEN = ("labels", "document")
"""Fields with names and values of users, which are kept as they are."""


def plain(value: Any) -> Any:
    """Return the JSON values of structs without null and empty texts, which mean the same as no value.

    Kubernetes has no null, and old API servers take an empty text for one.
    """
    return _given(msgspec.to_builtins(value))


def _given(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: inner if key in _AS_GIVEN else _given(inner)
            for key, inner in value.items()
            if inner not in (None, "")
        }
    return [_given(inner) for inner in value] if isinstance(value, list) else value
