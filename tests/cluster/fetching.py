"""A capture in the cluster -> its files, as a user gets them: a CaptureAccess, kubectl port-forward, HTTP."""

import base64
import contextlib
import hashlib
import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from testbed.kubernetes.cluster import Cluster
from testbed.kubernetes.control_plane import KUBECTL
from testbed.patience import wait_until
from tests.cluster.applied import API_VERSION
from tests.cluster.services import SYSTEM

_FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


def leader(cluster: Cluster) -> str:
    """Return the pod of the leading controller."""
    return str(cluster.get("lease", "bicap-controller", "-n", SYSTEM)["spec"].get("holderIdentity", ""))


def access_body(
    name: str, namespace: str, seconds: float = 300, kind: str = "PacketCapture"
) -> tuple[dict[str, Any], str]:
    """Return a CaptureAccess and its token."""
    secret = secrets.token_bytes(32)
    spec = {
        "capture": {"kind": kind, "name": name},
        "secretSHA256": hashlib.sha256(secret).hexdigest(),
        "expires": (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    metadata = {"name": f"{name}-{secrets.token_hex(4)}", "namespace": namespace}
    body = {"apiVersion": API_VERSION, "kind": "CaptureAccess", "metadata": metadata, "spec": spec}
    return body, base64.urlsafe_b64encode(secret).decode().rstrip("=")


def allow(cluster: Cluster, name: str, namespace: str, user: str = "alice", **how: Any) -> str:
    """Make a CaptureAccess as a user. Returns the token."""
    body, token = access_body(name, namespace, **how)
    cluster.kubectl("create", "-f", "-", user=user, stdin=json.dumps(body))
    return token


@contextlib.contextmanager
def forwarded(cluster: Cluster, user: str = "alice") -> Iterator[httpx2.Client]:
    """Yield a client of the leading controller, through kubectl port-forward as a user."""
    command = [str(KUBECTL), "--kubeconfig", cluster.kubeconfigs[user], "port-forward", "-n", SYSTEM]
    process = subprocess.Popen([*command, f"pod/{leader(cluster)}", ":8470"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = _FORWARDED.search(process.stdout.readline())
        assert found, "kubectl forwards nothing"
        with httpx2.Client(base_url=f"http://127.0.0.1:{found[1]}", timeout=60, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def bearer_of(token: str, **more: str) -> dict[str, str]:
    """Return the headers of a request."""
    return {"Authorization": f"Bearer {token}"} | more


def listing(client: httpx2.Client, token: str, nodes: int = 2) -> Any:
    """Return what there is, once all nodes answer."""
    found: Any = {}

    def complete() -> bool:
        nonlocal found
        found = client.get("/v1/capture", headers=bearer_of(token)).raise_for_status().json()
        return len(found["nodes"]) == nodes and all(node["reachable"] for node in found["nodes"])

    wait_until(complete, lambda: found)
    return found


def fetch_by_pieces(client: httpx2.Client, token: str, node: str, name: str, size: int, piece: int) -> bytes:
    """Return a file, fetched by ranges whose digests are right."""
    content = b""
    while len(content) < size:
        wanted = f"bytes={len(content)}-{len(content) + piece - 1}"
        answer = client.get(f"/v1/files/{node}/{name}", headers=bearer_of(token, Range=wanted))
        assert answer.status_code == 206
        digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
        assert answer.headers["content-digest"] == f"sha-256=:{digest}:"
        content += answer.content
    return content
