"""A capture -> the right to fetch it for some minutes, which is made anew before it ends.

The secret is 32 random bytes that only this process knows; the object has their SHA-256.
"""

import base64
import contextlib
import hashlib
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Self

from capture.errors import ApiError
from capture.kubectl.cluster_captures import CaptureName
from capture.kubectl.kubectl_command import Kubectl
from capture.request.own import API_VERSION

ACCESS_KIND = "CaptureAccess"
SECRET_BYTES = 32
LONGEST = timedelta(minutes=10)
SLACK = timedelta(seconds=30)
"""How much sooner than allowed it says to end, so that a clock that is a little ahead is not refused."""
RENEW_SECONDS = 7 * 60.0


class FetchRight:
    """The right to fetch one capture; leaves nothing behind."""

    def __init__(self, kubectl: Kubectl, name: CaptureName) -> None:
        self._kubectl, self._capture = kubectl, name
        self._object = ""
        self._token = ""
        self._made = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def bearer(self) -> str:
        """Return the value of the Authorization header."""
        if not self._object or time.monotonic() - self._made > RENEW_SECONDS:
            self.renew()
        return f"Bearer {self._token}"

    def renew(self) -> None:
        """Make another one in place of this one. Raises ApiError."""
        self.remove()
        secret = secrets.token_bytes(SECRET_BYTES)
        expires = datetime.now(UTC) + LONGEST - SLACK
        body = {
            "apiVersion": API_VERSION,
            "kind": ACCESS_KIND,
            "metadata": {"generateName": f"{self._capture.name[:40]}-", "namespace": self._capture.access_namespace},
            "spec": {
                "capture": {"kind": self._capture.kind, "name": self._capture.name},
                "secretSHA256": hashlib.sha256(secret).hexdigest(),
                "expires": expires.isoformat(timespec="seconds").replace("+00:00", "Z"),
            },
        }
        self._object = str(self._kubectl.create(body)["metadata"]["name"])
        self._token = base64.urlsafe_b64encode(secret).decode().rstrip("=")
        self._made = time.monotonic()

    def remove(self) -> None:
        """Give the right back, if it is there."""
        name, self._object = self._object, ""
        if name:
            resource = f"{ACCESS_KIND.lower()}es.{API_VERSION.partition('/')[0]}"
            where = ("-n", self._capture.access_namespace)
            with contextlib.suppress(ApiError):  # it ends by itself
                self._kubectl.run("delete", resource, name, *where, "--ignore-not-found", "--wait=false")
