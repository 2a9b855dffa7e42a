"""A capture that is followed from here -> one that ends by itself soon after we do, however we end.

Its time to stop, `spec.limits.stopAt`, is put off again and again while we are here; so nothing that is killed, or
loses the network for long, leaves a capture without an end. It is done by the API server's clock, and only while
nobody else has set that time.
"""

import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from capture.cluster.objects import CaptureObject
from capture.errors import ApiError
from capture.kubectl.cluster_captures import CaptureApi, CaptureName

HOLD = timedelta(minutes=15)
"""Time after which a capture ends that nobody follows any more."""
RENEW_SECONDS, RETRY_SECONDS = 240.0, 15.0


class HeldCapture:
    """A capture that this process has made. One with a time to stop of its own is left as it is."""

    def __init__(self, api: CaptureApi, name: CaptureName, created: CaptureObject) -> None:
        self._api, self._name = api, name
        self._at = _stop_at(created.spec)
        self._is_ours = self._at is None
        made = created.metadata.creation_timestamp
        self._ahead = made - datetime.now(UTC) if made is not None else timedelta()
        self._due = 0.0

    def renew(self) -> None:
        """Put the time to stop off, if that is due. A failure is tried again; the time is long enough for some."""
        if not self._is_ours or time.monotonic() < self._due:
            return
        at = (datetime.now(UTC) + self._ahead + HOLD).isoformat(timespec="seconds").replace("+00:00", "Z")
        try:
            self._api.put_off(self._name, self._at, at)
        except ApiError:
            self._due = time.monotonic() + RETRY_SECONDS
            self._look()
        else:
            self._at, self._due = at, time.monotonic() + RENEW_SECONDS

    def _look(self) -> None:
        with contextlib.suppress(ApiError):  # it is looked at again with the next try
            self._is_ours = _stop_at(self._api.read(self._name).spec) == self._at


def _stop_at(spec: Any) -> str | None:
    found: str | None = ((spec or {}).get("limits") or {}).get("stopAt")
    return found
