"""Files and live views through kubectl port-forward, as alice, with the rights that the manifests give."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator

import pytest

from capture.retrieval.live_frames import WholeFrames, frames
from testbed.kubernetes.cluster import Cluster
from testbed.packet_times import packet_times
from testbed.patience import wait_until
from tests.cluster.conftest import Apply
from tests.cluster.fetching import access_body, allow, bearer_of, fetch_by_pieces, forwarded, leader, listing
from tests.cluster.pod_traffic import address, fetch
from tests.cluster.pods_installed import installation
from tests.cluster.services import SYSTEM, Services

WEB = {"target": {"selector": {"matchLabels": {"app": "web"}}}, "rules": [{"destination": {"ports": [80]}}]}


@pytest.fixture(scope="module", autouse=True)
def installed(cluster: Cluster, services: Services) -> Iterator[None]:
    """The services as pods, in place of the processes."""
    with installation(cluster, services):
        yield


def test_files_are_those_of_their_nodes_byte_by_byte(cluster: Cluster, apply: Apply) -> None:
    capture = apply("fetched", WEB)
    capture.until(lambda status: status.get("nodeSummary") == "2/2" and status["phase"] == "Capturing")
    for pod in ("web-0", "web-1"):
        fetch(cluster, address(cluster, "shop", pod), 50)
    capture.stop()
    capture.until(lambda status: all(file.get("sha256") for node in status["nodes"] for file in node["files"]))
    token = allow(cluster, "fetched", "shop")
    with forwarded(cluster) as client:
        for node, found in zip(cluster.nodes, listing(client, token)["nodes"], strict=True):
            names = {file["name"] for file in found["files"]}
            folder = capture.folder(node)
            assert names == {path.name for path in folder.iterdir()} - {"state.json"}
            assert len(names) == 2
            for file in found["files"]:
                content = fetch_by_pieces(client, token, node.name, file["name"], file["bytes"], 20_000)
                assert content == (folder / file["name"]).read_bytes()
                assert hashlib.sha256(content).hexdigest() == file["sha256"]
                whole = client.get(f"/v1/files/{node.name}/{file['name']}", headers=bearer_of(token))
                assert whole.content == content


def test_a_live_view_shows_what_the_files_have(cluster: Cluster, apply: Apply) -> None:
    capture = apply("viewed", WEB)
    capture.until(lambda status: status.get("nodeSummary") == "2/2" and status["phase"] == "Capturing")
    token, kinds, early = allow(cluster, "viewed", "shop"), Counter[str](), 0
    shown: dict[str, bytes] = {}
    marks = {node.name: 0 for node in cluster.nodes}
    with forwarded(cluster) as client, client.stream("GET", "/v1/live", headers=bearer_of(token)) as stream:
        assert stream.status_code == 200
        asked, whole = False, WholeFrames()
        for chunk in stream.iter_raw():
            for header, payload in frames(whole.add(chunk)):
                node = header["node"]
                kinds[header["kind"]] += 1
                shown[node] = shown.get(node, b"") + payload
                early += sum(time < marks[node] for time in packet_times(payload))
                marks[node] = max(marks[node], header.get("ns", 0))
            if not asked and kinds["watermark"] > 20:
                asked = True
                for pod in ("web-0", "web-1"):
                    fetch(cluster, address(cluster, "shop", pod), 20)
                capture.stop()
    assert kinds["ended"] == 2
    assert not kinds["gone"]
    assert not kinds["lost"]
    assert early == 0
    for node in cluster.nodes:
        (file,) = capture.files(node)
        assert shown[node.name] == file.read_bytes()


def test_who_may_not_gets_nothing_and_the_log_says_so(cluster: Cluster, apply: Apply) -> None:
    apply("kept", {"target": {"pods": [{"name": "client"}]}, "limits": {"duration": "1s"}}).wait("Complete")
    body, _ = access_body("kept", "shop")
    refused = cluster.try_kubectl("create", "-f", "-", user="bob", stdin=json.dumps(body))
    assert "cannot create resource" in refused.stderr
    body, _ = access_body("vault", "bank")
    refused = cluster.try_kubectl("create", "-f", "-", user="alice", stdin=json.dumps(body))
    assert "cannot create resource" in refused.stderr
    with forwarded(cluster) as client:
        for token, status in (
            (allow(cluster, "kept", "shop"), 200),
            (allow(cluster, "kept", "shop", seconds=-5), 410),
            (allow(cluster, "other", "shop"), 404),
            (allow(cluster, "kept", "shop", kind="ClusterPacketCapture"), 403),
            ("A" * 43, 401),
        ):
            assert client.get("/v1/capture", headers=bearer_of(token)).status_code == status
    log = [json.loads(line) for line in cluster.kubectl("logs", "-n", SYSTEM, leader(cluster)).splitlines()]
    audit = {line.get("reason", "granted") for line in log if line["message"].startswith("access ")}
    assert audit >= {"granted", "expired", "no such capture", "other namespace", "unknown"}


def test_an_access_that_has_ended_is_deleted(cluster: Cluster) -> None:
    allow(cluster, "short", "shop", seconds=3)

    def left() -> list[str]:
        names = [access["metadata"]["name"] for access in cluster.get("captureaccesses", "-n", "shop")]
        return [name for name in names if name.startswith("short-")]

    wait_until(lambda: not left(), left)


def test_files_can_be_fetched_from_the_next_leader(cluster: Cluster, apply: Apply) -> None:
    capture = apply("survives", {"target": {"pods": [{"name": "client"}]}, "limits": {"duration": "1s"}})
    capture.wait("Complete")
    before = leader(cluster)
    cluster.kubectl("delete", "pod", before, "-n", SYSTEM, "--grace-period=1")
    wait_until(lambda: leader(cluster) not in ("", before), lambda: leader(cluster))
    token = allow(cluster, "survives", "shop")
    with forwarded(cluster) as client:
        found = listing(client, token, nodes=1)
    assert len(found["nodes"][0]["files"]) == 2
