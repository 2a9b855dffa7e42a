"""A token that a program in the cluster shows -> whose it is, and if that service account may fetch a capture.

The API server answers both: TokenReview says who, for our audience only; SubjectAccessReview says if RBAC lets that
one `get` the subresource `files` of the capture. An answer is taken for true for some seconds, so a download by many
ranges does not ask for each of them.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from capture.cluster.api import OWN_GROUP, Resource
from capture.cluster.kube import AccessReviewStatus, ReviewedUser, TokenReviewStatus
from capture.retrieval.refused import RefusedError

ROBOT_AUDIENCE = "bicap"
FILES = "files"
"""Subresource of captures, which exists for RBAC only."""
TOKEN_SECONDS, RIGHT_SECONDS = 60.0, 10.0
"""Times for which the API server is not asked again whose a token is, and if somebody may fetch."""
_KEPT_MOST = 10_000
_TOKEN_MOST = 8192
T = TypeVar("T")


class _Remembered(Generic[T]):
    """Answers that are taken for true for a while; the oldest are forgotten when there are too many."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        self._known: OrderedDict[Hashable, tuple[T, float]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """Return what is known; None if nothing is, or it is too old."""
        found = self._known.get(key)
        return found[0] if found is not None and found[1] > self._clock() else None

    def put(self, key: Hashable, value: T) -> None:
        """Note an answer."""
        self._known.pop(key, None)
        self._known[key] = value, self._clock() + self._seconds
        while len(self._known) > _KEPT_MOST:
            self._known.popitem(last=False)


class RobotTokens:
    """Checks tokens and rights. `review` and `may` ask the API server; other threads may call the methods."""

    def __init__(
        self,
        review: Callable[[str], TokenReviewStatus],
        may: Callable[[dict[str, Any]], AccessReviewStatus],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._review, self._may = review, may
        self._users: _Remembered[ReviewedUser] = _Remembered(TOKEN_SECONDS, clock)
        self._rights: _Remembered[bool] = _Remembered(RIGHT_SECONDS, clock)

    def user_of(self, token: str) -> ReviewedUser:
        """Return whose token it is. Raises RefusedError, ApiError."""
        # What cannot be a token of a service account is no question for the API server.
        if token.count(".") != 2 or len(token) > _TOKEN_MOST:
            raise RefusedError(
                401, "not authenticated", f"the token is not one of a service account for {ROBOT_AUDIENCE}"
            )
        digest = hashlib.sha256(token.encode()).digest()
        known = self._users.get(digest)
        if known is not None:
            return known
        status = self._review(token)
        if not status.authenticated or ROBOT_AUDIENCE not in status.audiences:
            raise RefusedError(
                401,
                "not authenticated",
                f"the token is not good for {ROBOT_AUDIENCE}: {status.error or 'it is for others'}",
            )
        self._users.put(digest, status.user)
        return status.user

    def check(self, user: ReviewedUser, resource: Resource[Any], namespace: str, name: str) -> None:
        """Raise RefusedError if RBAC does not let a user fetch a capture; ApiError if nobody can say."""
        key = user.username, tuple(user.groups), resource.plural, namespace, name
        allowed = self._rights.get(key)
        if allowed is None:
            attributes = {
                "group": OWN_GROUP,
                "resource": resource.plural,
                "subresource": FILES,
                "verb": "get",
                "name": name,
            } | ({"namespace": namespace} if namespace else {})
            asked = {"user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra}
            allowed = self._may({"resourceAttributes": attributes} | {k: v for k, v in asked.items() if v}).allowed
            self._rights.put(key, allowed)
        if not allowed:
            where = f" in namespace {namespace}" if namespace else ""
            raise RefusedError(
                403,
                "not allowed",
                f"{user.username} may not get {resource.plural}/{FILES} {name}{where}; a role must allow it",
            )
