"""The pods of a NodeCapture and the runtime of the node -> a file with the pods, as a capture reads it.

Names, labels and addresses are those that the API server has now; sandboxes and network namespaces are the runtime's.
One connection to the runtime serves all captures of the node, so a capture needs none.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec

from capture.cluster.objects import PodEntry
from capture.errors import BicapError
from capture.filters.podname import PodName
from capture.pods.runtime import Runtime
from capture.pods.sockets import find_sockets
from capture.selection.pod import Pod
from capture.targets.follower import RETRY_SECONDS, SETTLING_SECONDS


class NodePods:
    """The pods of this node as the runtime has them. `wake` is called when they may have changed."""

    def __init__(self, sockets: Sequence[str], wake: Callable[[], None]) -> None:
        self._runtimes = [Runtime(path) for path in find_sockets(sockets)]
        self._wake = wake
        self._pods: dict[str, Pod] = {}
        self._troubles: tuple[str, ...] = ()
        self._due: list[float] = [0.0]
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, args=(runtime,), name="events of pods", daemon=True)
            for runtime in self._runtimes
        ]

    def start(self) -> None:
        """Start to follow the runtimes."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the connections."""
        self._ending.set()
        for runtime in self._runtimes:
            runtime.close()

    @property
    def troubles(self) -> tuple[str, ...]:
        """What keeps pods from being known, one line each."""
        return self._troubles

    def _listen(self, runtime: Runtime) -> None:
        while not self._ending.is_set():
            try:
                for _ in runtime.changes():
                    now = time.monotonic()
                    # A runtime reports a pod shortly before the pod is ready.
                    self._due = [now + seconds for seconds in SETTLING_SECONDS]
                    self._wake()
            except (BicapError, NotImplementedError):
                pass
            self._due = [time.monotonic()]
            self._wake()
            self._ending.wait(RETRY_SECONDS)

    def refresh(self) -> bool:
        """Ask the runtimes if something has changed. Returns True if they were asked."""
        now = time.monotonic()
        due = [moment for moment in self._due if moment <= now]
        if not due:
            return False
        self._due = [moment for moment in self._due if moment > now]
        pods: dict[str, Pod] = {}
        troubles: list[str] = []
        for runtime in self._runtimes:
            try:
                listing = runtime.look()
            except BicapError as error:
                troubles.append(str(error))
                pods |= {uid: pod for uid, pod in self._pods.items() if pod.socket == runtime.path}
                self._due.append(now + RETRY_SECONDS)
                continue
            troubles += listing.troubles
            # The youngest sandbox of a pod is its present one.
            pods |= {pod.uid: pod for pod in sorted(listing.pods, key=lambda pod: pod.created_ns) if pod.ready}
        self._pods, self._troubles = pods, tuple(troubles)
        return True

    def next_due(self) -> float | None:
        """Return the seconds until `refresh` has something to do; None if nothing is planned."""
        return max(0.0, min(self._due) - time.monotonic()) if self._due else None

    def known(self, entries: Sequence[PodEntry], node: str) -> list[Pod]:
        """Return the pods of a capture: those here that are ready, and those elsewhere by their addresses."""
        found = []
        for entry in entries:
            name = PodName(entry.namespace, entry.name)
            addresses = tuple(ip_address(ip) for ip in entry.ips)
            if entry.node != node:
                found.append(
                    Pod(
                        name=name, uid=entry.uid, sandbox=entry.uid, ready=True, labels=entry.labels,
                        addresses=addresses, host_network=entry.host_network, elsewhere=True,
                    )
                )  # fmt: skip
            elif (pod := self._pods.get(entry.uid)) is not None:
                found.append(
                    replace(pod, labels=entry.labels, addresses=tuple(dict.fromkeys((*pod.addresses, *addresses))))
                )
        return found


class PodsFile:
    """The file of one capture; it is replaced only if the pods have changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: Any = None

    def write(self, pods: Sequence[Pod]) -> None:
        """Write the pods."""
        plain = [pod.as_json() for pod in pods]
        if plain == self._written:
            return
        temporary = self.path.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(plain))
        os.chmod(temporary, 0o600)
        temporary.replace(self.path)
        self._written = plain

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
