"""The nodes that the other tests stand on are real: pods that answer, interfaces of several kinds, nothing left."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.pods.conftest import Pods
from tests.pods.node import Node


def test_pods_answer_each_other_in_both_families(pods: Pods) -> None:
    web, api = pods("shop", "web-0"), pods("bank", "api-0")
    assert [pods.node.get(web, ip) for ip in api.ips] == ["hello from bank/api-0"] * 2
    assert pods.node.get(api, web.ips[0]) == "hello from shop/web-0"


def test_two_nodes_have_equal_ifindexes(make_node: Callable[..., Node]) -> None:
    nodes = [make_node(), make_node()]
    for node in nodes:
        node.run("shop", "web-0")
    veths = [{link["ifindex"] for link in node.links() if link["ifname"].startswith("veth")} for node in nodes]
    assert veths[0] == veths[1]


def test_nothing_is_left_of_a_node(tmp_path: Path, unique: str) -> None:
    folder = tmp_path / "cri"
    mounts = Path("/proc/mounts").read_text()
    with Node(f"x{unique}", folder, "10.219.0", "macvlan") as node:
        pod = node.run("shop", "web-0")
        assert [link["ifname"] for link in node.links()][:3] == ["lo", "far", "uplink"]
        node.stop(pod)
    assert not folder.exists()
    assert Path("/proc/mounts").read_text() == mounts
    assert not [path for path in Path("/sys/fs/cgroup").glob(f"**/x{unique}") if path.is_dir()]
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in processes
    assert not os.path.exists(f"/run/netns/x{unique}")
