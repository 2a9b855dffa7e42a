"""A token that an agent shows -> the node that it may speak for.

The API server says whose token it is and for which pod it was made; that pod's node is the only one that it may speak
for. So a token that leaks from one node opens nothing on another, and none once the pod is gone.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from capture.cluster.kube import SYSTEM_NAMESPACE, KubePod, TokenReviewStatus
from capture.retrieval.orders import AUDIENCE
from capture.retrieval.refused import RefusedError

AGENT_USER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:bicap-agent"
KEPT_SECONDS = 60.0
"""Time for which the API server is not asked again about a token that is good."""
_KEPT_MOST = 20_000
_POD_NAME, _POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"


@dataclass(frozen=True, slots=True)
class _BoundPod:
    """The pod that a token was made for, and the time until which that is taken for true."""

    name: str
    uid: str
    until: float


class AgentTokens:
    """Checks tokens. `review` asks the API server, `pod` finds a pod by namespace and name."""

    def __init__(
        self,
        review: Callable[[str], TokenReviewStatus],
        pod: Callable[[str, str], KubePod | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._review, self._pod, self._clock = review, pod, clock
        self._known: OrderedDict[bytes, _BoundPod] = OrderedDict()

    def node_of(self, token: str) -> str:
        """Return the node of the pod that a token was made for. Raises RefusedError, ApiError."""
        bound = self._bound(token)
        pod = self._pod(SYSTEM_NAMESPACE, bound.name)
        if pod is None or pod.metadata.uid != bound.uid or not pod.runs:
            raise RefusedError(403, "pod is gone", f"pod {bound.name} of this token is not known, or has ended")
        return pod.spec.node_name

    def _bound(self, token: str) -> _BoundPod:
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and known.until > self._clock():
            return known
        status = self._review(token)
        if not status.authenticated or AUDIENCE not in status.audiences:
            raise RefusedError(401, "not authenticated", f"the token is not good for {AUDIENCE}: {status.error}")
        if status.user.username != AGENT_USER:
            raise RefusedError(403, "not an agent", f"{status.user.username} is not {AGENT_USER}")
        name, uid = ((status.user.extra.get(key) or [""])[0] for key in (_POD_NAME, _POD_UID))
        if not (name and uid):
            raise RefusedError(403, "not of a pod", "the token was not made for a pod")
        found = self._known[digest] = _BoundPod(name, uid, self._clock() + KEPT_SECONDS)
        self._known.move_to_end(digest)
        while len(self._known) > _KEPT_MOST:
            self._known.popitem(last=False)
        return found
