"""CaptureAccess objects, and a secret -> the capture that may be fetched, or why none may.

The secret itself is in no object: an access has its SHA-256. All accesses are compared in constant time, so an answer
tells nothing about how much of a guess was right. An access ends after ten minutes at the latest, whatever it says,
by the time at which the API server made it; what has ended is remembered for a while, so that the answer to an old
secret is "expired" and not "unknown".
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from capture.cluster.api import PACKET_CAPTURES
from capture.cluster.kube import SYSTEM_NAMESPACE
from capture.cluster.objects import CaptureAccess, CaptureAccessSpec
from capture.cluster.view import KnownCapture
from capture.retrieval.refused import RefusedError

LONGEST = timedelta(minutes=10)
SECRET_BYTES = 32
_ENDED_KEPT = 1000


@dataclass(frozen=True, slots=True)
class OpenAccess:
    """An access that holds now."""

    name: str
    """NAMESPACE/NAME of the object."""
    namespace: str
    spec: CaptureAccessSpec
    created: datetime
    ends: datetime


class AccessBook:
    """The accesses that there are. One thread changes them, others read."""

    def __init__(self, system_namespace: str = SYSTEM_NAMESPACE) -> None:
        self._system = system_namespace
        self._open: dict[str, OpenAccess] = {}
        """By uid."""
        self._useless: set[str] = set()
        """Uids of accesses that can never be used."""
        self._ended: OrderedDict[str, str] = OrderedDict()
        """Names of accesses that have ended, by the SHA-256 of their secrets."""

    def put(self, item: CaptureAccess) -> str | None:
        """Take in an access that is new or changed. Returns why it can never be used; None if it can."""
        try:
            spec = msgspec.convert(item.spec, CaptureAccessSpec)
            if spec.expires.tzinfo is None:
                raise msgspec.ValidationError("expires has no time zone")
        except msgspec.ValidationError as error:
            self._open.pop(item.metadata.uid, None)
            self._useless.add(item.metadata.uid)
            return str(error)
        self._useless.discard(item.metadata.uid)
        created = item.metadata.creation_timestamp or datetime.now(UTC)
        ends = min(spec.expires, created + LONGEST)
        self._open[item.metadata.uid] = OpenAccess(str(item), item.metadata.namespace, spec, created, ends)
        return None

    def remove(self, uid: str) -> None:
        """Forget an access whose object is gone."""
        self._useless.discard(uid)
        access = self._open.pop(uid, None)
        if access is not None:
            self._ended[access.spec.secret_sha256] = access.name
            while len(self._ended) > _ENDED_KEPT:
                self._ended.popitem(last=False)

    def has_ended(self, uid: str, now: datetime) -> bool:
        """True if the access of this uid is over, or can never be used: its object has no purpose any more."""
        access = self._open.get(uid)
        return uid in self._useless or (access is not None and access.ends <= now)

    def find(self, secret: bytes, now: datetime) -> OpenAccess:
        """Return the access with this secret. Raises RefusedError."""
        digest = hashlib.sha256(secret).hexdigest()
        found = None
        for access in list(self._open.values()):
            same = hmac.compare_digest(access.spec.secret_sha256, digest)
            # Whoever reads a hash may put it into an object of his own; the first one is its maker's.
            if same and (found is None or access.created < found.created):
                found = access
        if found is None:
            ended = self._ended.get(digest)
            if ended is None:
                raise RefusedError(401, "unknown", "no CaptureAccess has this secret")
            raise RefusedError(410, "expired", f"CaptureAccess {ended} has ended; make another")
        if found.ends <= now:
            raise RefusedError(
                410, "expired", f"CaptureAccess {found.name} ended at {found.ends:%H:%M:%SZ}; make another"
            )
        return found

    def capture_of(self, access: OpenAccess, find: Callable[[str, str, str], KnownCapture | None]) -> KnownCapture:
        """Return the capture of an access; `find` gets kind, namespace and name. Raises RefusedError.

        A capture that was made after the access is another one that got the name of the one that was meant.
        """
        wanted = access.spec.capture
        namespaced = wanted.kind == PACKET_CAPTURES.kind
        if not (namespaced or access.namespace == self._system):
            raise RefusedError(
                403,
                "other namespace",
                f"{wanted.kind} {wanted.name} is not a capture of namespace {access.namespace}; "
                f"its CaptureAccess must be in {self._system}",
            )
        known = find(wanted.kind, access.namespace if namespaced else "", wanted.name)
        if known is None:
            where = f" in namespace {access.namespace}" if namespaced else ""
            raise RefusedError(404, "no such capture", f"{wanted.kind} {wanted.name} does not exist{where}")
        made = known.item.metadata.creation_timestamp
        if made is not None and made > access.created:
            raise RefusedError(
                403, "other capture", f"{wanted.kind} {wanted.name} was made after CaptureAccess {access.name}"
            )
        return known
