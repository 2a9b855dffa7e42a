"""Two "pods" on a node, made of network namespaces -> a place for real traffic, in tests and in the demo.

Each pod's veth is on a bridge in the node's namespace, so the machine's own network stays untouched. Neighbours
are fixed and IPv6 duplicate detection is off, so that only the caller's packets pass.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TALK = str(Path(__file__).with_name("talk.py"))


def run(*words: str) -> str:
    """Run a command that must succeed; its standard output."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True)
class PlainPod:
    """A namespace with one interface, eth0; `veth` is its host side in the node's namespace."""

    netns: str
    veth: str
    ip4: str
    ip6: str
    mac: str

    def exec(self, *words: str) -> list[str]:
        """The words of a command that runs in the pod."""
        return ["ip", "netns", "exec", self.netns, *words]


@dataclass(frozen=True)
class PlainNode:
    """A namespace with a bridge, and the pods on it."""

    netns: str
    client: PlainPod
    server: PlainPod

    def exec(self, *words: str) -> list[str]:
        """The words of a command that runs on the node."""
        return ["ip", "netns", "exec", self.netns, *words]


def _batch(netns: str | None, *lines: str) -> None:
    """Run commands of `ip`, each of which must succeed, in one process."""
    where = ["-n", netns] if netns else []
    done = subprocess.run(["ip", *where, "-batch", "-"], input="\n".join(lines), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(where)}: {done.stderr.strip()}")


def _pod(node: str, name: str, number: int) -> PlainPod:
    return PlainPod(
        f"{node}-{name}", f"veth-{name}", f"10.77.0.{number}", f"fd77::{number}", f"02:77:00:00:00:0{number}"
    )


def _set_up(pod: PlainPod, other: PlainPod) -> None:
    """Give a pod its addresses, and let it know the other's MAC address, so that it need not ask."""
    run(*pod.exec("sysctl", "-qw", "net.ipv6.conf.eth0.router_solicitations=0"))
    _batch(
        pod.netns,
        f"link set eth0 address {pod.mac}",
        f"addr add {pod.ip4}/24 dev eth0",
        f"addr add {pod.ip6}/64 dev eth0 nodad",
        "link set lo up",
        "link set eth0 up",
        *(f"neigh replace {one} lladdr {other.mac} dev eth0 nud permanent" for one in (other.ip4, other.ip6)),
    )


@contextlib.contextmanager
def two_pods(netns: str) -> Iterator[PlainNode]:
    """A node of this name with the pods client and server, who know each other's MAC addresses."""
    client, server = _pod(netns, "client", 1), _pod(netns, "server", 2)
    try:
        _batch(None, *(f"netns add {name}" for name in (netns, client.netns, server.netns)))
        run("ip", "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        _batch(
            netns,
            "link add br0 type bridge mcast_snooping 0",
            "link set br0 up",
            *(f"link add {pod.veth} type veth peer name eth0 netns {pod.netns}" for pod in (client, server)),
            *(f"link set {pod.veth} master br0 up" for pod in (client, server)),
        )
        _set_up(client, server)
        _set_up(server, client)
        yield PlainNode(netns, client, server)
    finally:
        for name in (netns, client.netns, server.netns):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def serve(pod: PlainPod) -> list[str]:
    """The words that answer HTTP and UDP in a pod until killed; says "serving" when it does."""
    return pod.exec(sys.executable, TALK, "serve")


def talk(pod: PlainPod, *hosts: str) -> list[str]:
    """The words that do everything once with each host from a pod; succeeds when all was answered."""
    return pod.exec(sys.executable, TALK, "talk", *hosts)
