"""Pods with several interfaces, with interfaces that have no end on the node, and nodes that number theirs alike."""

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.tool import CaptureProcess, assert_adds_up, bicap, check_with_readers
from tests.pods.containerd_node import ContainerdNode
from tests.pods.named_packets import both_ways, conversations, seen

MakeNode = Callable[..., ContainerdNode]


@pytest.mark.parametrize(("second", "at"), [("bridge", "node"), ("macvlan", "pod")])
def test_all_interfaces_of_a_pod_are_caught_whatever_they_are(
    make_node: MakeNode, tmp_path: Path, second: str, at: str
) -> None:
    node = make_node(second)
    web, api = node.run("shop", "web-0"), node.run("bank", "api-0")
    first, other = (
        node.exec(api, "ip", "-o", "-4", "addr", "show", name).split()[3].partition("/")[0]
        for name in ("eth0", "eth1")
    )
    file = tmp_path / "f.pcapng"
    with CaptureProcess(file, "--cri-socket", node.socket, "--pod", "shop/web-0") as capture:
        for address in (first, other):
            assert node.get(web, address) == "hello from bank/api-0"
    check_with_readers(file)
    assert [(i["name"], i["view"]) for i in capture.summary["interfaces"]] == [
        ("shop/web-0:eth0", "pod"),
        ("shop/web-0:eth1", "pod"),
    ]
    packets = seen(file, f"tcp && ip.addr == {first}")
    assert set(conversations(packets)) == both_ways("shop/web-0:eth0", "shop/web-0", "bank/api-0")
    packets = [p for p in seen(file, f"tcp && ip.addr == {other}") if p.way == "out"]
    assert {(p.interface, p.source) for p in packets} == {("shop/web-0:eth1", "shop/web-0")}
    assert {p.way for p in seen(file, f"tcp && ip.addr == {other}")} == {"in", "out"}
    assert_adds_up(capture.summary["account"])
    inside = capture.summary["interfaces"][1]
    assert ("caught inside" in inside["description"]) == (at == "pod")
    assert (inside["netns"] == capture.summary["interfaces"][0]["netns"]) == (at == "node")


def test_one_capture_of_two_nodes_whose_interfaces_have_equal_numbers(make_node: MakeNode, tmp_path: Path) -> None:
    nodes = [make_node(), make_node()]
    file = tmp_path / "f.pcapng"
    webs = [node.run("shop", "web-0", {"app": "web"}) for node in nodes]
    apis = [node.run("bank", f"api-{number}") for number, node in enumerate(nodes)]
    sockets = [word for node in nodes for word in ("--cri-socket", node.socket)]
    with CaptureProcess(file, *sockets, "-l", "app=web") as capture:
        for node, web, api in zip(nodes, webs, apis, strict=True):
            assert node.get(web, api.ips[0]) == f"hello from {api}"
    one, two = capture.summary["interfaces"]
    assert one["ifindex"] == two["ifindex"]
    assert one["netns"] != two["netns"]
    assert [one["pod"]["uid"], two["pod"]["uid"]] == [web.uid for web in webs]
    talks = {(p.interface, p.destination) for p in seen(file, "http.request")}
    assert talks == {("shop/web-0:eth0", "bank/api-0"), ("shop/web-0:eth0#2", "bank/api-1")}


def test_a_process_is_caught_where_it_lives_without_asking_any_runtime(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node()
    web, api = node.run("shop", "web-0"), node.run("bank", "api-0")
    file = tmp_path / "f.pcapng"
    with CaptureProcess(file, "--pid", str(web.pid), within=node.within()) as capture:
        node.get(web, api.ips[0])
    (interface,) = capture.summary["interfaces"]
    assert (interface["name"], interface["pod"]) == (f"pid-{web.pid}:eth0", None)
    assert {packet.way for packet in seen(file)} == {"in", "out"}
    done = bicap("capture", "--pid", "4194303", "-w", str(file))
    says = "bicap: pid 4194303 does not exist in this pid namespace\n"
    assert (done.code, done.stderr) == (3, says)
