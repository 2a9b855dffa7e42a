"""Objects of captures -> what a user sees of them, and what is in their files."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.kubernetes.cluster import Cluster
from testbed.kubernetes.kubernetes_node import KubernetesNode
from testbed.patience import wait_until

API_VERSION = "bicap.io/v1alpha1"


@dataclass(frozen=True)
class AppliedCapture:
    """A capture that was applied."""

    cluster: Cluster
    resource: str
    name: str
    namespace: str

    @property
    def where(self) -> tuple[str, ...]:
        """Words for kubectl."""
        return ("-n", self.namespace) if self.namespace else ()

    def read(self) -> Any:
        """Return the object as it is now."""
        return self.cluster.get(self.resource, self.name, *self.where)

    def status(self) -> Any:
        """Return its status as it is now."""
        return self.read().get("status", {})

    def condition(self, kind: str) -> dict[str, Any]:
        """Return one of its conditions; empty if it has none of the type."""
        return next((one for one in self.status().get("conditions", ()) if one["type"] == kind), {})

    def node(self, node: str) -> dict[str, Any]:
        """Return what became of it on a node; empty if nothing is known."""
        return next((one for one in self.status().get("nodes", ()) if one["node"] == node), {})

    def wait(self, condition: str, seconds: int = 60) -> Any:
        """Wait as a user does. Returns the status."""
        target = f"{self.resource}/{self.name}"
        self.cluster.kubectl("wait", f"--for=condition={condition}", target, *self.where, f"--timeout={seconds}s")
        return self.status()

    def until(self, reached: Callable[[Any], object]) -> Any:
        """Wait until the status is as it should be. Returns it."""
        wait_until(lambda: reached(self.status()), lambda: json.dumps(self.status(), indent=1))
        return self.status()

    def stop(self) -> Any:
        """Stop it as a user does, and wait until it is complete. Returns the status."""
        self.patch({"spec": {"limits": {"stopAt": "2020-01-01T00:00:00Z"}}})
        return self.wait("Complete")

    def patch(self, patch: Any) -> None:
        """Change the object."""
        words = ("patch", self.resource, self.name, *self.where, "--type=merge", "-p", json.dumps(patch))
        self.cluster.kubectl(*words)

    def delete(self, wait: bool = True) -> None:
        """Delete the object."""
        self.cluster.kubectl("delete", self.resource, self.name, *self.where, f"--wait={str(wait).lower()}")

    def folder(self, node: KubernetesNode) -> Path:
        """Return where its files are on a node."""
        return node.captures / str(self.read()["metadata"]["uid"])

    def files(self, node: KubernetesNode) -> list[Path]:
        """Return its files on a node; each has the size and the hash that the status tells."""
        told = self.node(node.name)["files"]
        paths = [self.folder(node) / file["name"] for file in told]
        for path, file in zip(paths, told, strict=True):
            content = path.read_bytes()
            assert len(content) == file["bytes"]
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
        return paths


def account_adds_up(status: Any) -> None:
    """The sums that every status must keep, of each node and of all."""
    for node in status["nodes"]:
        assert node["seen"] == node["unmatched"] + node["matched"]
        written = node["forward"]["packets"] + node["reverse"]["packets"]
        assert node["matched"] == written + node["sampledOut"] + node["overLimit"] + node["lost"]
        assert node["packets"] == written + node["unaccounted"]
        assert node["lost"] == sum(node["lostBy"].values())
    assert status["packets"] == sum(node["packets"] for node in status["nodes"])
    assert status["lost"] == sum(node["lost"] for node in status["nodes"])
