"""Captures that name a CaptureStore: their files reach a real SFTP server, and the status is true meanwhile."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.kubernetes.cluster import Cluster
from testbed.kubernetes.network import API_ADDRESS
from testbed.sftp_server import SftpServer
from tests.cluster.applied import API_VERSION
from tests.cluster.conftest import Apply
from tests.cluster.pod_traffic import address, fetch

Store = Callable[[str], None]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    """A server at the address of the control plane, which all nodes reach."""
    folder = tmp_path / "sftp"
    folder.mkdir()
    server = SftpServer(folder, API_ADDRESS)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def store(cluster: Cluster, server: SftpServer) -> Iterator[Store]:
    """Makes the CaptureStore `prod` of the namespace shop, with a host key."""
    words = ("create", "secret", "generic", "keys", "-n", "shop", f"--from-file=credentials={server.key}")
    cluster.kubectl(*words)

    def make(host_key: str) -> None:
        spec = {"url": server.url, "secretRef": {"name": "keys"}, "hostKey": host_key}
        metadata = {"name": "prod", "namespace": "shop"}
        body = {"apiVersion": API_VERSION, "kind": "CaptureStore", "metadata": metadata, "spec": spec}
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    yield make
    cluster.kubectl("delete", "capturestores/prod", "secret/keys", "-n", "shop", "--ignore-not-found")


SPEC = {"target": {"selector": {"matchLabels": {"app": "web"}}}, "store": {"name": "prod"}}


def test_files_are_in_the_store_when_the_status_says_so(
    cluster: Cluster, apply: Apply, server: SftpServer, store: Store
) -> None:
    capture = apply("stored", SPEC | {"storage": {"fileTime": "2s"}})
    capture.until(lambda status: status.get("phase") == "Queued")
    assert "there is no CaptureStore shop/prod" in capture.condition("Complete")["message"]

    store(server.known_hosts().read_text())
    capture.until(lambda status: status.get("phase") == "Capturing")
    for _ in range(3):
        fetch(cluster, address(cluster, "shop", "web-0"), 20)
    capture.until(lambda status: any(node.get("upload", {}).get("uploaded") for node in status["nodes"]))
    assert capture.condition("Uploaded")["status"] == "False"
    assert not list(server.files.rglob("manifest.json"))

    server.kill()
    status = capture.stop()
    capture.until(lambda _: capture.condition("Uploaded").get("reason") == "UploadFailed")
    assert any(node["upload"]["tries"] and node["upload"]["message"] for node in capture.status()["nodes"])
    server.start()
    capture.wait("Uploaded", 120)

    uid = capture.read()["metadata"]["uid"]
    manifests = list((server.files / "shop" / f"stored-{uid}").rglob("manifest.json"))
    assert sorted(path.parent.name for path in manifests) == sorted(node["node"] for node in status["nodes"])
    for path in manifests:
        node = next(one for one in cluster.nodes if one.name == path.parent.name)
        told = {entry["name"]: entry for entry in json.loads(path.read_text())["files"]}
        here = {file.name: file for file in capture.files(node)}
        assert here.keys() <= told.keys()
        for name, file in here.items():
            assert (path.parent / name).read_bytes() == file.read_bytes()
            assert told[name]["bytes"] == file.stat().st_size
    events = cluster.get("events", "-n", "shop")
    assert {"UploadFailed", "Uploaded"} <= {one["reason"] for one in events}
    assert "OPENSSH" not in json.dumps([capture.read(), *cluster.get("nodecaptures", "-n", "bicap-system")])


def test_another_host_key_is_told_and_nothing_is_sent(
    cluster: Cluster, apply: Apply, server: SftpServer, store: Store
) -> None:
    store(server.known_hosts(server.other_key).read_text())
    capture = apply("strange", SPEC | {"limits": {"duration": "3s"}, "storage": {"ttl": "1s"}})
    capture.wait("Complete")
    capture.until(lambda _: capture.condition("Uploaded").get("reason") == "UploadFailed")
    assert "the host key of" in capture.condition("Uploaded")["message"]
    assert not list(server.files.iterdir())
    assert all(capture.files(node) for node in cluster.nodes if capture.node(node.name))
