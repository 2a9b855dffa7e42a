"""A Lease -> who leads, and who is alive, by our own clock: it matters when a renewal was noticed."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from capture.cluster.api import LEASES, Api
from capture.cluster.kube import Lease, plain
from capture.errors import ApiError

LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS = 15, 10, 2
"""For a leader: how long a lease lasts, how long its holder tries to renew it, and the time between two tries."""
ALIVE_SECONDS = 40
"""An agent that has not renewed its lease for so long counts as missing."""
HEARTBEAT_SECONDS = 10


class Elector:
    """Holds a lease, or waits for it. `leads` is True while it is ours."""

    def __init__(self, api: Api, name: str, namespace: str, identity: str) -> None:
        self._api, self._name, self._namespace, self._identity = api, name, namespace, identity
        self._noticed: tuple[str, datetime | None] | None = None
        self._noticed_at = 0.0
        self._renewed_at = -float(LEASE_SECONDS)

    @property
    def leads(self) -> bool:
        """True if the lease was renewed lately enough that nobody else can have taken it."""
        return time.monotonic() - self._renewed_at < RENEW_SECONDS

    def step(self) -> bool:
        """Renew the lease, or take it if nobody holds it. Returns `leads`."""
        began = time.monotonic()
        try:
            if self._try():
                self._renewed_at = began
        except ApiError:
            pass  # as if the server had not been asked: the lease runs out
        return self.leads

    def _try(self) -> bool:
        lease = self._api.get(LEASES, self._name, self._namespace)
        now = datetime.now(UTC)
        if lease is None:
            self._api.create(LEASES, self._lease(None, now), self._namespace)
            return True
        holder = lease.spec.holder_identity or ""
        if holder != self._identity and holder and not self._has_expired(lease):
            return False
        self._api.replace(LEASES, self._lease(lease, now), self._namespace)
        return True

    def _has_expired(self, lease: Lease) -> bool:
        noticed = lease.spec.holder_identity or "", lease.spec.renew_time
        if noticed != self._noticed:
            self._noticed, self._noticed_at = noticed, time.monotonic()
        return time.monotonic() - self._noticed_at > LEASE_SECONDS

    def _lease(self, before: Lease | None, now: datetime) -> dict[str, object]:
        spec = before.spec if before else None
        same = spec is not None and spec.holder_identity == self._identity
        return lease_body(
            self._name,
            self._namespace,
            self._identity,
            LEASE_SECONDS,
            now,
            acquired=spec.acquire_time if same and spec else now,
            transitions=(spec.lease_transitions or 0) + (not same) if spec else 0,
            version=before.metadata.resource_version if before else None,
        )

    def release(self) -> None:
        """Let another take the lease at once."""
        self._renewed_at = -float(LEASE_SECONDS)
        try:
            lease = self._api.get(LEASES, self._name, self._namespace)
            if lease is not None and lease.spec.holder_identity == self._identity:
                self._api.patch(LEASES, self._name, {"spec": {"holderIdentity": ""}}, self._namespace)
        except ApiError:
            pass  # it runs out by itself


class Heartbeat:
    """Renews a lease of our own, so that others see that we are alive; `notes` returns its annotations."""

    def __init__(
        self,
        api: Api,
        name: str,
        namespace: str,
        identity: str,
        notes: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._api, self._name, self._namespace, self._identity = api, name, namespace, identity
        self._notes = notes
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread that renews."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._ending.set()

    def _beat(self) -> None:
        while not self._ending.is_set():
            try:
                self.renew()
                pause = float(HEARTBEAT_SECONDS)
            except ApiError:
                pause = float(RETRY_SECONDS)
            self._ending.wait(pause)

    def renew(self) -> None:
        """Renew the lease once. Raises ApiError."""
        now = datetime.now(UTC)
        body = lease_body(self._name, self._namespace, self._identity, ALIVE_SECONDS, now)
        notes = dict(self._notes())
        try:
            change = {"metadata": {"annotations": notes}, "spec": body["spec"]}
            self._api.patch(LEASES, self._name, change, self._namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            body["metadata"]["annotations"] = notes
            self._api.create(LEASES, body, self._namespace)


class Pulse:
    """Which leases are renewed, as far as we noticed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._noticed: dict[str, tuple[datetime | None, float]] = {}

    def noticed(self, lease: Lease) -> None:
        """Note a lease as it is now."""
        name, renewed = lease.metadata.name, lease.spec.renew_time
        before = self._noticed.get(name)
        if before is None:
            # Nobody knows how long ago it was renewed by our clock; by theirs, it may be over already.
            age = (datetime.now(UTC) - renewed).total_seconds() if renewed else ALIVE_SECONDS
            self._noticed[name] = renewed, self._clock() - min(max(age, 0.0), ALIVE_SECONDS)
        elif before[0] != renewed:
            self._noticed[name] = renewed, self._clock()

    def gone(self, name: str) -> None:
        """Note that a lease was deleted."""
        self._noticed.pop(name, None)

    def alive(self) -> frozenset[str]:
        """Return the names of the leases that were renewed within ALIVE_SECONDS."""
        now = self._clock()
        return frozenset(name for name, (_, at) in list(self._noticed.items()) if now - at < ALIVE_SECONDS)


def lease_body(
    name: str,
    namespace: str,
    holder: str,
    seconds: int,
    now: datetime,
    *,
    acquired: datetime | None = None,
    transitions: int | None = None,
    version: str | None = None,
) -> dict[str, Any]:
    """Return a Lease object."""
    metadata = {"name": name, "namespace": namespace} | ({"resourceVersion": version} if version else {})
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": seconds,
        "renewTime": _micro(now),
        "acquireTime": _micro(acquired) if acquired else None,
        "leaseTransitions": transitions,
    }
    body: dict[str, Any] = plain({"metadata": metadata, "spec": spec})
    return body


def _micro(at: datetime) -> str:
    """Return a MicroTime, which has six digits after the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
