"""Two "pods" for end-to-end tests: network namespaces with veths on a bridge, in a node namespace of their own.

Neighbours are fixed and IPv6 duplicate detection is off, so that only the test's packets pass.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest


def run(*words: str) -> str:
    """Run a command that must succeed; its standard output."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Pod:
    """A namespace with one interface, eth0; `veth` is its host side in the node's namespace."""

    netns: str
    veth: str
    ip4: str
    ip6: str

    def exec(self, *words: str) -> list[str]:
        """The words of a command that runs in the pod."""
        return ["ip", "netns", "exec", self.netns, *words]


@dataclass(frozen=True)
class Node:
    """A namespace with a bridge, and the pods on it."""

    netns: str
    client: Pod
    server: Pod

    def exec(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.netns, *words]


def _pod(node: str, name: str, number: int) -> Pod:
    pod = Pod(f"{node}-{name}", f"veth-{name}", f"10.77.0.{number}", f"fd77::{number}")
    run("ip", "netns", "add", pod.netns)
    run("ip", "-n", node, "link", "add", pod.veth, "type", "veth", "peer", "name", "eth0", "netns", pod.netns)
    run("ip", "-n", pod.netns, "link", "set", "eth0", "address", f"02:77:00:00:00:0{number}")
    run("ip", "-n", node, "link", "set", pod.veth, "master", "br0", "up")
    for address in (f"{pod.ip4}/24", f"{pod.ip6}/64"):
        flags = ["nodad"] if ":" in address else []
        run("ip", "-n", pod.netns, "addr", "add", address, "dev", "eth0", *flags)
    for link in ("lo", "eth0"):
        run("ip", "-n", pod.netns, "link", "set", link, "up")
    return pod


@pytest.fixture
def node(unique: str) -> Iterator[Node]:
    """A node with the pods client and server, who know each other's MAC addresses."""
    netns = f"bicap-{unique}"
    names = [netns, f"{netns}-client", f"{netns}-server"]
    try:
        run("ip", "netns", "add", netns)
        run("ip", "-n", netns, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run("ip", "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        run("ip", "-n", netns, "link", "set", "br0", "up")
        client, server = _pod(netns, "client", 1), _pod(netns, "server", 2)
        for here, there, number in ((client, server, 2), (server, client, 1)):
            run("ip", "netns", "exec", here.netns, "sysctl", "-qw", "net.ipv6.conf.eth0.router_solicitations=0")
            for address in (there.ip4, there.ip6):
                mac = f"02:77:00:00:00:0{number}"
                run(
                    "ip",
                    "-n",
                    here.netns,
                    "neigh",
                    "replace",
                    address,
                    "lladdr",
                    mac,
                    "dev",
                    "eth0",
                    "nud",
                    "permanent",
                )
        yield Node(netns, client, server)
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
