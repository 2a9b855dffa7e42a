"""Pods of the cluster -> traffic between them, and what tcpdump sees of it at their veths."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from testbed.kubernetes.cluster import Cluster
from testbed.kubernetes.network import netns
from testbed.patience import wait_until
from testbed.two_pods import run


def address(cluster: Cluster, namespace: str, pod: str) -> str:
    """Return the address of a pod."""
    return str(cluster.get("pod", pod, "-n", namespace)["status"]["podIP"])


def fetch(cluster: Cluster, host: str, times: int = 1) -> None:
    """Let the client fetch a page from a host, several times."""
    script = f"for i in $(seq {times}); do wget -q -O - http://{host}/ || exit 1; done"
    cluster.kubectl("exec", "-n", "shop", "client", "--", "/bin/sh", "-c", script)


def veth(cluster: Cluster, namespace: str, pod: str) -> tuple[str, str]:
    """Return the network namespace of a pod's node, and the node's end of its veth, as the pod itself names it."""
    node = cluster.get("pod", pod, "-n", namespace)["spec"]["nodeName"]
    index = int(cluster.kubectl("exec", "-n", namespace, pod, "--", "cat", "/sys/class/net/eth0/iflink"))
    links = json.loads(run("ip", "-n", netns(int(node[1:])), "-j", "link"))
    return netns(int(node[1:])), next(str(link["ifname"]) for link in links if link["ifindex"] == index)


@contextlib.contextmanager
def tcpdump(cluster: Cluster, namespace: str, pod: str, file: Path, expression: str) -> Iterator[None]:
    """Let tcpdump capture at a pod's veth; the file is complete after the block."""
    space, interface = veth(cluster, namespace, pod)
    command = [
        *("ip", "netns", "exec", space, "tcpdump", "-i", interface, "-w", str(file), "-U", "-B", "8192"),
        *("--time-stamp-precision=nano", expression),
    ]
    log = file.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_until(lambda: b"listening on" in log.read_bytes())
        yield
        time.sleep(1.0)  # what it has not read yet is in its ring
    finally:
        process.terminate()
        process.wait()
