"""A user at a desk: kubectl bicap, with the rights of the manifests, over ways to the services that break."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.kubernetes.cluster import Cluster
from testbed.kubernetes.control_plane import KUBECTL
from testbed.patience import PATIENCE, wait_until
from testbed.tool import check_with_readers, read_pcapng
from tests.cluster.pod_traffic import address, fetch
from tests.cluster.services import SYSTEM
from tests.cluster.test_installed import installed as installed


class UserDesk:
    """The plugin as alice runs it, who may capture in shop."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.env = os.environ | {"KUBECONFIG": cluster.kubeconfigs["alice"], "KUBECTL": str(KUBECTL)}

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start a verb."""
        command = [sys.executable, "-m", "capture.kubectl.main", *words, "-n", "shop"]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str) -> tuple[str, str]:
        """Run a verb, which must succeed. Returns stdout and stderr."""
        process = self.start(*words)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err.decode()
        return out.decode(), err.decode()

    def captures(self) -> list[Any]:
        """Return the captures that there are."""
        return [one["metadata"]["name"] for one in self.cluster.get("packetcaptures", "-n", "shop")]

    def forwards(self) -> list[int]:
        """Return the processes of port-forwards that run."""
        command = ["pgrep", "-f", f"port-forward -n {SYSTEM}"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]


@pytest.fixture
def desk(cluster: Cluster, tmp_path: Path) -> Iterator[UserDesk]:
    cluster.try_kubectl(
        "create", "rolebinding", "alice-fetches", "-n", SYSTEM, "--role=bicap-fetcher", "--user=alice"
    )
    # What people have in their namespace anyway: workloads are looked up by the words of a capture.
    cluster.try_kubectl("create", "rolebinding", "alice-views", "-n", "shop", "--clusterrole=view", "--user=alice")
    desk = UserDesk(cluster, tmp_path)
    yield desk
    cluster.kubectl("delete", "rolebinding", "alice-views", "-n", "shop")
    assert desk.forwards() == []
    for kind in ("packetcaptures", "captureaccesses"):
        left = [one["metadata"]["name"] for one in cluster.get(kind, "-n", "shop")]
        for name in left:
            cluster.kubectl("delete", kind, name, "-n", "shop", "--wait=false")
        assert left == [], f"left in the cluster: {left}"


def capturing(desk: UserDesk) -> Any:
    """Wait until packets are being caught on both nodes."""

    def caught() -> bool:
        found = desk.cluster.get("packetcaptures", "-n", "shop")
        return (
            bool(found)
            and found[0].get("status", {}).get("nodeSummary") == "2/2"
            and found[0]["status"].get("phase") == "Capturing"
        )

    wait_until(caught, lambda: json.dumps(desk.cluster.get("packetcaptures", "-n", "shop")))


def test_a_statefulset_is_captured_on_both_nodes_into_one_file_until_ctrl_c(desk: UserDesk) -> None:
    process = desk.start("capture", "sts/web", "tcp", "port", "80", "-w", "web.pcapng")
    capturing(desk)
    for pod in ("web-0", "web-1"):
        fetch(desk.cluster, address(desk.cluster, "shop", pod), 10)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err.decode()
    found = read_pcapng(desk.folder / "web.pcapng")
    check_with_readers(desk.folder / "web.pcapng")
    assert len(found.data) >= 160
    assert "2 nodes" in err.decode()
    assert "counted" not in err.decode(), "the file has what the nodes have counted"


def test_files_come_byte_by_byte_over_a_way_that_is_cut_each_second(desk: UserDesk) -> None:
    name = desk.run("capture", "sts/web", "--to", ":80", "--detach")[0].strip().partition("/")[2]
    capturing(desk)
    script = "for i in $(seq 40); do wget -q -O /dev/null http://{}/big || exit 1; done"
    for pod in ("web-0", "web-1"):
        fill = ("dd", "if=/dev/urandom", "of=/www/big", "bs=1M", "count=2")
        desk.cluster.kubectl("exec", "-n", "shop", pod, "--", *fill)
        words = ("/bin/sh", "-c", script.format(address(desk.cluster, "shop", pod)))
        desk.cluster.kubectl("exec", "-n", "shop", "client", "--", *words)
    desk.run("stop", name)
    ended = threading.Event()
    cuts = []

    def cut() -> None:
        while not ended.wait(1.0):
            for pid in desk.forwards():
                try:
                    os.kill(pid, signal.SIGKILL)
                    cuts.append(time.monotonic())
                except ProcessLookupError:
                    pass

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        desk.run("fetch", name, "--split", "-w", "all")
    finally:
        ended.set()
        cutter.join()
    uid = desk.cluster.get("packetcaptures", name, "-n", "shop")["metadata"]["uid"]
    total = 0
    for node in desk.cluster.nodes:
        files = [path for path in (node.captures / uid).iterdir() if ".pcapng" in path.name]
        assert files
        for path in files:
            data = path.read_bytes()
            assert (desk.folder / "all" / node.name / path.name).read_bytes() == data
            total += len(data)
    print(f"{total >> 20} MiB, {len(cuts)} cuts")
    assert total > 100 << 20
    assert cuts
    desk.run("rm", name)


def test_readers_work_on_what_is_fetched(desk: UserDesk) -> None:
    desk.run("capture", "pod/client", "--to", "svc/web:8080", "--name", "both", "--detach")
    capturing(desk)
    service = desk.cluster.get("service", "web", "-n", "shop")["spec"]["clusterIP"]
    fetch(desk.cluster, f"{service}:8080", 10)
    desk.run("stop", "both")
    wait_until(lambda: "Complete" in desk.run("get", "both")[0])
    assert "written" in desk.run("describe", "both")[0]
    assert desk.run("sessions", "both")[0]
    assert "shop/client" in desk.run("legs", "both")[0]
    desk.run("rm", "both")
