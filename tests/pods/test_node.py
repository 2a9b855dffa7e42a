"""The nodes that the other tests stand on are real: pods that answer, interfaces of several kinds, nothing left."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import grpc
import pytest

from testbed.runtime_api import RuntimeApi
from testbed.two_pods import run
from tests.pods.conftest import Pods
from tests.pods.containerd_node import ContainerdNode, RealPod


def links_of(pod: RealPod) -> dict[str, Any]:
    """The interfaces of a pod, as ip tells them, by name."""
    told = json.loads(run("nsenter", f"--net={pod.netns}", "ip", "-j", "-d", "link"))
    return {link["ifname"]: link for link in told}


def address_of(pod: RealPod, interface: str) -> str:
    """The IPv4 address of a pod's interface."""
    told = json.loads(run("nsenter", f"--net={pod.netns}", "ip", "-j", "-4", "address", "show", interface))
    return str(told[0]["addr_info"][0]["local"])


def test_pods_answer_each_other_in_both_families(pods: Pods) -> None:
    web, api = pods("shop", "web-0"), pods("bank", "api-0")
    assert [pods.node.get(web, ip) for ip in api.ips] == ["hello from bank/api-0"] * 2
    assert pods.node.get(api, web.ips[0]) == "hello from shop/web-0"


SECOND = [
    # CNI plugin, what eth1 is, the node's interface that eth1 is tied to, host sides of each pod
    ("bridge", "veth", "cni1", 2),
    ("macvlan", "macvlan", "uplink", 1),
]


@pytest.mark.parametrize(("plugin", "kind", "tied_to", "host_sides"), SECOND)
def test_a_pod_has_a_second_interface_that_carries_traffic(
    make_node: Callable[..., ContainerdNode], plugin: str, kind: str, tied_to: str, host_sides: int
) -> None:
    node = make_node(plugin)
    web, api = node.run("shop", "web-0"), node.run("bank", "api-0")
    interface = links_of(web)["eth1"]
    assert interface["linkinfo"]["info_kind"] == kind
    on_node = {link["ifindex"]: link for link in node.links()}
    other = on_node[interface["link_index"]]
    assert other.get("master", other["ifname"]) == tied_to
    assert len([link for link in on_node.values() if link["ifname"].startswith("veth")]) == 2 * host_sides
    assert node.get(web, address_of(api, "eth1")) == "hello from bank/api-0"


def test_a_pod_on_the_nodes_network_is_in_the_nodes_namespace(pods: Pods) -> None:
    web, agent = pods("shop", "web-0"), pods("kube-system", "agent", host_network=True)
    assert agent.netns is None
    assert os.path.samefile(f"/proc/{agent.pid}/ns/net", f"/run/netns/{pods.node.netns}")
    assert pods.node.get(web, "10.210.0.1") == "hello from kube-system/agent"


def test_a_stopped_pod_stays_listed_until_it_is_removed(pods: Pods) -> None:
    pod = pods("shop", "web-0")
    api = RuntimeApi(pods.node.socket)

    def states() -> list[str]:
        return [kind.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number[kind.state].name
                for kind in api("ListPodSandbox").items]  # fmt: skip

    assert states() == ["SANDBOX_READY"]
    pods.node.stop(pod)
    assert states() == ["SANDBOX_NOTREADY"]
    assert not os.path.exists(f"/proc/{pod.pid}")
    pods.remove(pod)
    assert states() == []
    api.close()


def test_two_nodes_have_equal_ifindexes(make_node: Callable[..., ContainerdNode]) -> None:
    nodes = [make_node(), make_node()]
    for node in nodes:
        node.run("shop", "web-0")
    veths = [{link["ifindex"] for link in node.links() if link["ifname"].startswith("veth")} for node in nodes]
    assert len(veths[0]) == 1
    assert veths[0] == veths[1]


def processes_with(text: str) -> Iterator[int]:
    """Processes that have this in their command line or their cgroup, and run."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes() + (folder / "cgroup").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        # Z: it has ended, and only waits for init to take note.
        if text.encode() in told and state != "Z" and int(folder.name) != os.getpid():
            yield int(folder.name)


def remains(node: str, folder: Path, pods: list[RealPod]) -> list[str]:
    """What there still is of a node and its pods, wherever a runtime keeps something."""
    ids = [one for pod in pods for one in (pod.sandbox, pod.container)]
    places = [folder, Path("/run/netns") / node, *(Path(str(pod.netns)) for pod in pods)]
    places += [Path("/run/containerd/runc/k8s.io") / one for one in ids]
    # So the shim calls its socket: containerd's SocketAddress().
    sockets = [hashlib.sha256(f"{folder}/cri.sock/k8s.io/{pod.sandbox}".encode()).hexdigest() for pod in pods]
    places += [Path("/run/containerd/s") / one for one in sockets]
    found = [str(place) for place in places if place.exists()]
    found += [str(path) for one in ids for path in Path("/var/lib/cni/results").glob(f"*{one}*")]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{node}")]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    return found + [f"process {pid}" for text in (str(folder), f"/{node}/") for pid in processes_with(text)]


def kill_containerd(folder: Path) -> None:
    (pid,) = [
        pid for pid in processes_with(str(folder / "config.toml"))
        if Path(f"/proc/{pid}/comm").read_text() == "containerd\n"
    ]  # fmt: skip
    os.kill(pid, signal.SIGKILL)


ENDINGS = {
    # what happens to a node with pods, the error that its end reports
    "nothing happens": (lambda _: None, None),
    "its containerd is killed": (kill_containerd, grpc.RpcError),
}


@pytest.mark.parametrize(("happens", "error"), ENDINGS.values(), ids=ENDINGS.keys())
def test_nothing_is_left_of_a_node(
    tmp_path: Path, unique: str, happens: Callable[[Path], None], error: type[Exception] | None
) -> None:
    folder, name = tmp_path / "cri", f"x{unique}"
    with pytest.raises(error) if error else nullcontext(), ContainerdNode(name, folder, "10.219.0", "bridge") as node:
        made = [node.run("shop", "web-0"), node.run("shop", "web-1")]
        node.stop(made[1])
        assert len(remains(name, folder, made)) > 20
        happens(folder)
    assert remains(name, folder, made) == []


KILLED = """
import json, os, sys
from dataclasses import asdict
from pathlib import Path
from tests.pods.containerd_node import ContainerdNode

node = ContainerdNode(sys.argv[1], Path(sys.argv[2]), "10.219.0").__enter__()
print(json.dumps(asdict(node.run("shop", "web-0"))), flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_run_that_was_killed_makes_way_for_the_next(tmp_path: Path, unique: str) -> None:
    folder, name = tmp_path / "cri", f"x{unique}"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, name, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    earlier = RealPod(**json.loads(done.stdout))
    assert len(remains(name, folder, [earlier])) > 20
    with ContainerdNode(name, folder, "10.219.0") as node:
        web, api = node.run("shop", "web-0"), node.run("bank", "api-0")
        assert node.get(web, api.ips[0]) == "hello from bank/api-0"
        assert not Path(str(earlier.netns)).exists()
    assert remains(name, folder, [earlier, web, api]) == []
