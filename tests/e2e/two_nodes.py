"""Two nodes with a pod each, an overlay between them, and a service -> traffic that is translated and tunnelled.

    client ── pod-a ▏node-a▕ wire ──── wire ▏node-b▕ pod-b ── server
                       overlay (VXLAN over wire)

The client asks the service's address; node-a translates it to the server's, and hides the client if that is wanted.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.two_pods import PlainPod, run

SERVICE = "10.96.0.1"
_OVERLAY_MTU, _MAC = 1450, "02:79:00:00:00:0"


@dataclass(frozen=True)
class Two:
    """The nodes' namespaces; each has its pod at `veth` and the other node at `wire`."""

    nodes: tuple[str, str]
    client: PlainPod
    server: PlainPod

    def drop(self, packet: str, every: int) -> None:
        """Have node-b drop every so many-th of the packets that these words of iptables tell, once they are plain."""
        words = f"-A FORWARD {packet} -m statistic --mode nth --every {every} --packet 0 -j DROP"
        run("ip", "netns", "exec", self.nodes[1], "iptables", *words.split())

    @property
    def dropped(self) -> int:
        """How many those were."""
        said = run("ip", "netns", "exec", self.nodes[1], "iptables", "-nvxL", "FORWARD")
        return sum(int(line.split()[0]) for line in said.splitlines() if "DROP" in line.split())


def _node(name: str, number: int, other: int) -> PlainPod:
    pod = PlainPod(f"{name}-pod", f"pod-{'ab'[number - 1]}", f"10.78.{number}.2", "", "")
    run("ip", "netns", "add", pod.netns)
    run("ip", "-n", name, "link", "add", pod.veth, "type", "veth", "peer", "name", "eth0", "netns", pod.netns)
    run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    overlay = f"type vxlan id 42 dev wire remote 192.168.77.{other} dstport 4789"
    run("ip", "-n", name, "link", "add", "overlay", "address", f"{_MAC}{number}", *overlay.split())
    run("ip", "-n", name, "addr", "add", f"192.168.77.{number}/24", "dev", "wire")
    run("ip", "-n", name, "addr", "add", f"10.79.0.{number}/24", "dev", "overlay")
    run("ip", "-n", name, "addr", "add", f"10.78.{number}.1/24", "dev", pod.veth)
    run("ip", "-n", pod.netns, "addr", "add", f"{pod.ip4}/24", "dev", "eth0")
    for netns, link, mtu in ((name, "wire", 1500), (name, "overlay", _OVERLAY_MTU), (name, pod.veth, _OVERLAY_MTU)):
        run("ip", "-n", netns, "link", "set", link, "mtu", str(mtu), "up")
    run("ip", "-n", pod.netns, "link", "set", "lo", "up")
    run("ip", "-n", pod.netns, "link", "set", "eth0", "mtu", str(_OVERLAY_MTU), "up")
    run("ip", "-n", pod.netns, "route", "add", "default", "via", f"10.78.{number}.1")
    # Nobody need ask over the wire, so that what passes there is only the pods'.
    known = [f"10.79.0.{other}", "lladdr", f"{_MAC}{other}", "dev", "overlay", "nud", "permanent"]
    run("ip", "-n", name, "neigh", "replace", *known)
    run("ip", "-n", name, "route", "add", f"10.78.{other}.0/24", "via", f"10.79.0.{other}", "dev", "overlay")
    return pod


@contextlib.contextmanager
def two_nodes(prefix: str, hide_client: bool) -> Iterator[Two]:
    """The nodes while a `with` block lasts."""
    nodes = (f"{prefix}-a", f"{prefix}-b")
    try:
        for name in nodes:
            run("ip", "netns", "add", name)
        run("ip", "-n", nodes[0], "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", nodes[1])
        client, server = _node(nodes[0], 1, 2), _node(nodes[1], 2, 1)
        rules = [f"-t nat -A PREROUTING -d {SERVICE} -j DNAT --to-destination {server.ip4}"]
        if hide_client:
            rules.append("-t nat -A POSTROUTING -o overlay -j MASQUERADE --random-fully")
        for rule in rules:
            run("ip", "netns", "exec", nodes[0], "iptables", *rule.split())
        yield Two(nodes, client, server)
    finally:
        for name in (*nodes, *(f"{node}-pod" for node in nodes)):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
