"""One cluster and one installation for all tests; each test removes what it made."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.kubernetes.cluster import Cluster
from tests.cluster.captures import API_VERSION, AppliedCapture
from tests.cluster.services import Services

# `make test` has no time for a cluster.
collect_ignore_glob = [] if os.environ.get("BICAP_CLUSTER") else ["test_*.py"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with pods on both nodes."""
    with Cluster(tmp_path_factory.mktemp("kubernetes") / "cluster", ("alice", "bob")) as cluster:
        cluster.kubectl("apply", "-f", str(Path(__file__).with_name("pods.yaml")))
        cluster.kubectl("wait", "-A", "--for=condition=Ready", "pod", "--all", "--timeout=120s")
        yield cluster


@pytest.fixture(scope="session")
def services(cluster: Cluster) -> Services:
    """bicap's services on the cluster."""
    services = Services(cluster)
    services.install()
    return services


Apply = Callable[..., AppliedCapture]


@pytest.fixture
def apply(services: Services) -> Iterator[Apply]:
    """Applies captures as a user does, and deletes them after the test."""
    made: list[AppliedCapture] = []

    def apply(name: str, spec: Any, namespace: str = "shop") -> AppliedCapture:
        kind = "PacketCapture" if namespace else "ClusterPacketCapture"
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
        services.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))
        captured = AppliedCapture(services.cluster, f"{kind.lower()}s", name, namespace)
        made.append(captured)
        return captured

    yield apply
    for captured in made:
        words = (captured.resource, captured.name, *captured.where)
        services.cluster.kubectl("delete", *words, "--ignore-not-found", "--timeout=60s")
