"""A program in the cluster, by its service account, over the Service: as docs/cluster.md says, with curl."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.kubernetes.cluster import Cluster
from testbed.patience import wait_until
from tests.cluster.conftest import Apply
from tests.cluster.fetching import leader
from tests.cluster.pods_installed import installation
from tests.cluster.services import SYSTEM, Services

HOST = "bicap.bicap-system.svc"


@pytest.fixture(scope="module", autouse=True)
def installed(cluster: Cluster, services: Services) -> Iterator[None]:
    """The services as pods, in place of the processes."""
    with installation(cluster, services):
        yield


def token_of(cluster: Cluster, account: str, audience: str) -> str:
    """A token of a service account of the shop, as the kubelet projects it into a pod."""
    spec = {"audiences": [audience], "expirationSeconds": 600}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = f"/api/v1/namespaces/shop/serviceaccounts/{account}/token"
    found: Any = json.loads(cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body)))
    return str(found["status"]["token"])


def ask(cluster: Cluster, folder: Path, path: str, token: str, *words: str) -> tuple[int, bytes]:
    """Ask the Service from a node. Returns the status and the answer."""
    config = cluster.get("configmap", "bicap-controller", "-n", SYSTEM)
    authority, output = folder / "ca", folder / "answer"
    authority.write_text(config["data"]["authority"])
    ip = cluster.get("service", "bicap", "-n", SYSTEM)["spec"]["clusterIP"]
    command = [*cluster.nodes[0].within(), "curl", "-sS", "--max-time", "30", "--cacert", str(authority)]
    command += ["--resolve", f"{HOST}:443:{ip}", "-H", f"Authorization: Bearer {token}", "-o", str(output)]
    command += ["-w", "%{http_code}", *words, f"https://{HOST}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout or 0), output.read_bytes() if output.exists() else b""


def test_a_service_account_fetches_what_rbac_lets_it_fetch(cluster: Cluster, apply: Apply, tmp_path: Path) -> None:
    apply("kept", {"target": {"pods": [{"name": "client"}]}, "limits": {"duration": "1s"}}).wait("Complete")
    cluster.kubectl("create", "serviceaccount", "robot", "-n", "shop")
    robot, path = token_of(cluster, "robot", "bicap"), "/v1/packetcaptures/shop/kept"
    wait_until(lambda: ask(cluster, tmp_path, f"{path}/capture", robot)[0] == 403)
    words = ("-n", "shop", "--clusterrole=bicap-downloader", "--serviceaccount=shop:robot")
    cluster.kubectl("create", "rolebinding", "robot-fetches", *words)
    wait_until(lambda: ask(cluster, tmp_path, f"{path}/capture", robot)[0] == 200)
    _, listed = ask(cluster, tmp_path, f"{path}/capture", robot)
    (node,) = json.loads(listed)["nodes"]
    for file in node["files"]:
        status, content = ask(cluster, tmp_path, f"{path}/files/{node['node']}/{file['name']}", robot)
        assert (status, hashlib.sha256(content).hexdigest()) == (200, file["sha256"])
    assert ask(cluster, tmp_path, f"{path}/capture", token_of(cluster, "robot", "another"))[0] == 401
    assert ask(cluster, tmp_path, "/v1/packetcaptures/bank/kept/capture", robot)[0] == 403
    status, document = ask(cluster, tmp_path, "/v1/openapi.json", "")
    assert (status, json.loads(document)["openapi"]) == (200, "3.1.0")
    before = leader(cluster)
    cluster.kubectl("delete", "pod", before, "-n", SYSTEM, "--grace-period=1")
    wait_until(lambda: leader(cluster) not in ("", before), lambda: leader(cluster))
    wait_until(lambda: ask(cluster, tmp_path, f"{path}/capture", robot)[0] == 200)
