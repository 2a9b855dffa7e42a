"""Real pods that talk HTTP: what is captured where, by name, by label, by peer, at either end and at both."""

import json
import platform
import subprocess
from pathlib import Path

import pytest

from testbed.tool import CaptureProcess, assert_adds_up, bicap, check_with_readers
from tests.pods.conftest import Pods
from tests.pods.named_packets import both_ways, conversations, seen

WEB, API = "shop/web-0", "bank/api-0"
AT_WEB, AT_API = both_ways(f"{WEB}:eth0", WEB, API), both_ways(f"{API}:eth0", API, WEB)

SELECTIONS = {
    "by name": ("--pod shop/web-0", AT_WEB),
    "by a bare name and its namespace": ("--pod web-0 --namespace shop", AT_WEB),
    "by label": ("-l app=web", AT_WEB),
    "by what a label is not": ("-l app!=api,app --namespace shop", AT_WEB),
    "by namespace": ("--namespace bank", AT_API),
    "by container": ("--container web --namespace bank", AT_API),
    "all": ("--all-pods", AT_WEB | AT_API),
    "by peer": ("--source shop/web-0 --destination bank/api-0:80", AT_WEB),
    "by peer, at the destination": ("--source shop/web-0 --destination bank/api-0:80 --point destination", AT_API),
    "by peer, at both ends": (
        "--source shop/web-0 --destination bank/api-0:80 --protocol tcp --point both",
        AT_WEB | AT_API,
    ),
    "by a peer asked for from its other end": ("--source bank/api-0:80 --destination shop/web-0", AT_API),
    "by one pod and a port of anybody": ("--source shop/web-0 --destination :80", AT_WEB),
    "by an expression at a pod": ("--pod shop/web-0 tcp port 80", AT_WEB),
}


@pytest.mark.parametrize(("asked", "expected"), SELECTIONS.values(), ids=SELECTIONS.keys())
def test_both_directions_are_caught_where_they_were_asked_for(
    pods: Pods, tmp_path: Path, asked: str, expected: set[tuple[str, str, str, str]]
) -> None:
    web, api = pods("shop", "web-0", app="web"), pods("bank", "api-0", app="api")
    pods("shop", "job-0")
    file = tmp_path / "f.pcapng"
    with CaptureProcess(file, "--cri-socket", pods.node.socket, *asked.split()) as capture:
        for ip in api.ips:
            assert pods.node.get(web, ip) == "hello from bank/api-0"
    check_with_readers(file)
    found = conversations(seen(file))
    assert set(found) == expected
    assert len({found[kind] for kind in expected if kind[1] == WEB}) == 1  # as many at one end as at the other
    assert capture.summary["account"]["lost"] == 0
    assert_adds_up(capture.summary["account"])


def test_the_file_says_whose_interfaces_these_are(pods: Pods, tmp_path: Path) -> None:
    web, api = pods("shop", "web-0", app="web", tier="front"), pods("bank", "api-0")
    file = tmp_path / "f.pcapng"
    with CaptureProcess(file, "--cri-socket", pods.node.socket, "-l", "app=web") as capture:
        pods.node.get(web, api.ips[0])
    (interface,) = capture.summary["interfaces"]
    assert (interface["name"], interface["pod"]["uid"], interface["pod"]["labels"]) == (
        "shop/web-0:eth0", web.uid, {"app": "web", "tier": "front"},
    )  # fmt: skip
    (link,) = [link for link in pods.node.links() if link["ifname"] == interface["interface"]]
    assert interface["ifindex"] == link["ifindex"]
    told = subprocess.run(["capinfos", str(file)], capture_output=True, text=True, check=True).stdout
    assert (
        f"Description = pod shop/web-0, UID {web.uid}, labels app=web,tier=front, node {platform.node()}, "
        f"host interface {link['ifname']}, ifindex {link['ifindex']}; inbound is to the pod"
    ) in told
    assert capture.summary["spec"]["pods"]["selector"] == "app=web"


def test_pods_are_listed_with_their_interfaces(pods: Pods) -> None:
    web, gone = pods("shop", "web-0", app="web"), pods("shop", "web-1", app="web")
    shared = pods("kube-system", "agent", host_network=True)
    pods.node.stop(gone)
    done = bicap("pods", "--cri-socket", pods.node.socket, "--json")
    assert (done.code, done.stderr) == (0, "")
    listed = {(pod["namespace"], pod["name"]): pod for pod in json.loads(done.stdout)}
    assert listed["shop", "web-0"]["ips"] == list(web.ips)
    (interface,) = listed["shop", "web-0"]["interfaces"]
    assert (interface["name"], interface["at"]) == ("eth0", "node")
    assert (listed["shop", "web-1"]["state"], listed["shop", "web-1"]["interfaces"]) == ("NotReady", [])
    agent = listed["kube-system", "agent"]
    assert (agent["hostNetwork"], agent["uid"]) == (True, shared.uid)
    assert {one["at"] for one in agent["interfaces"]} == {"shared"}
    assert "cni0" in {one["name"] for one in agent["interfaces"]}
    table = bicap("pods", "--cri-socket", pods.node.socket, "-l", "app=web").stdout.splitlines()
    assert [line.split()[:3] for line in table] == [
        ["NAMESPACE", "NAME", "STATE"],
        ["shop", "web-0", "Ready"],
        ["shop", "web-1", "NotReady"],
    ]


def test_a_pod_on_the_nodes_network_is_caught_by_the_nodes_addresses(pods: Pods, tmp_path: Path) -> None:
    web, api = pods("shop", "web-0"), pods("bank", "api-0")
    agent = pods("kube-system", "agent", host_network=True)
    file = tmp_path / "f.pcapng"
    with CaptureProcess(file, "--cri-socket", pods.node.socket, "--pod", "kube-system/agent") as capture:
        assert pods.node.get(agent, api.ips[0]) == "hello from bank/api-0"
        pods.node.get(web, api.ips[0])  # passes the bridge, too, and is none of its business
    found = conversations(seen(file))
    node = platform.node()
    assert set(found) == {
        ("kube-system/agent:cni0", node, API, "out"),
        ("kube-system/agent:cni0", API, node, "in"),
    }
    assert "only packets from or to addresses of the node" in capture.summary["interfaces"][0]["description"]
    assert_adds_up(capture.summary["account"])
