"""The leading controller -> an address on loopback, by `kubectl port-forward`, which may break at any time."""

import re
import select
import subprocess
import time
from collections.abc import Callable
from typing import Self

from capture.cluster.kube import SYSTEM_NAMESPACE
from capture.errors import ApiError
from capture.kubectl.kubectl_command import Kubectl, end, refusal

PORT = 8470
"""Port of the controller on its own loopback."""
LEASE = "bicap-controller"
START_SECONDS = 20.0
BACK_OFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0)
"""Waits before each new attempt; after the last the way counts as closed."""
_FORWARDING = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")


def leader(kubectl: Kubectl) -> str:
    """Return the pod of the controller that leads. Raises ApiError."""
    lease = kubectl.raw(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM_NAMESPACE}/leases/{LEASE}")
    holder = lease.get("spec", {}).get("holderIdentity")
    if not holder:
        raise ApiError(f"no controller leads; kubectl -n {SYSTEM_NAMESPACE} get pods says why", 0)
    return str(holder)


class PortForward:
    """A way to the leader that is opened again when it is broken."""

    def __init__(
        self,
        kubectl: Kubectl,
        on_break: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._kubectl, self._on_break, self._sleep = kubectl, on_break, sleep
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            end(process)

    def works(self) -> None:
        """Say that something came over the way: the next break begins with the shortest wait."""
        self._failures = 0

    def broke(self, why: str) -> None:
        """Close the way after an error, and wait before the next. Raises ApiError when it has broken too often."""
        self.close()
        if self._failures >= len(BACK_OFF_SECONDS):
            raise ApiError(f"the way to the controller breaks again and again: {why}", 0)
        seconds = BACK_OFF_SECONDS[self._failures]
        if self._failures:
            self._on_break(f"the way to the controller broke ({why}); trying again in {seconds:g} s")
        self._failures += 1
        self._sleep(seconds)

    def open(self) -> int:
        """Return the port on 127.0.0.1 that leads to the controller; opens the way if needed. Raises ApiError."""
        if self._process is not None and self._port:
            return self._port
        while True:
            try:
                return self._opened()
            except ApiError as error:
                if error.code in (401, 403):
                    raise
                self.broke(str(error))

    def _opened(self) -> int:
        pod = leader(self._kubectl)
        words = ("port-forward", "-n", SYSTEM_NAMESPACE, "--address", "127.0.0.1", f"pod/{pod}", f":{PORT}")
        process = self._kubectl.start(*words)
        self._process, self._port = process, 0
        assert process.stdout is not None
        deadline, said = time.monotonic() + START_SECONDS, b""
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([process.stdout], [], [], left)[0]:
                break
            piece = process.stdout.read1(4096)  # type: ignore[attr-defined]
            said += piece
            found = _FORWARDING.search(said)
            if found:
                self._port = int(found[1])
                return self._port
            if not piece:
                break
        assert process.stderr is not None
        gone = not piece if said or left > 0 else False
        why = process.stderr.read().decode("utf-8", "replace") if gone else ""
        self.close()
        if why:
            raise refusal(why, words)
        raise ApiError(f"kubectl port-forward to {pod} is not ready after {START_SECONDS:g} s", 0)
