"""Two nodes -> network namespaces behind one switch, with VXLAN between them as flannel makes it.

The switch is in the caller's namespace, as the control plane is. Pods of node N have addresses of 10.244.N.0/24 and
fd00:244:N::/64.
"""

from testbed.two_pods import run

SWITCH = "switch"
API_ADDRESS = "192.168.77.254"
NODES = (1, 2)
_OVERLAY = "flannel.1"


def netns(number: int) -> str:
    """Return the name of a node's network namespace."""
    return f"n{number}"


def node_address(number: int) -> str:
    """Return the address of a node."""
    return f"192.168.77.{number}"


def _mac(number: int) -> str:
    return f"0e:00:00:00:00:0{number}"


def make_networks() -> None:
    """Make the switch and the namespaces of all nodes."""
    run("ip", "link", "add", SWITCH, "type", "bridge")
    run("ip", "addr", "add", f"{API_ADDRESS}/24", "dev", SWITCH)
    run("ip", "link", "set", SWITCH, "up")
    for number in NODES:
        _make_node(number)
    for number in NODES:
        for other in NODES:
            if other != number:
                _introduce(netns(number), other)


def _make_node(number: int) -> None:
    node = netns(number)
    run("ip", "netns", "add", node)
    run("ip", "link", "add", f"port{number}", "type", "veth", "peer", "name", "uplink", "netns", node)
    run("ip", "link", "set", f"port{number}", "master", SWITCH, "up")
    run("ip", "-n", node, "link", "set", "lo", "up")
    run("ip", "-n", node, "addr", "add", f"{node_address(number)}/24", "dev", "uplink")
    run("ip", "-n", node, "link", "set", "uplink", "up")
    run("ip", "-n", node, "route", "add", "default", "via", API_ADDRESS)
    run("ip", "route", "add", f"10.244.{number}.0/24", "via", node_address(number))  # pods ask the API server
    for setting in ("ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1", "ipv6.conf.default.accept_dad=0"):
        run("ip", "netns", "exec", node, "sysctl", "-qw", f"net.{setting}")
    vxlan = (
        "type",
        "vxlan",
        "id",
        "1",
        "local",
        node_address(number),
        "dev",
        "uplink",
        "dstport",
        "8472",
        "nolearning",
    )
    run("ip", "-n", node, "link", "add", _OVERLAY, "address", _mac(number), *vxlan)
    run("ip", "-n", node, "addr", "add", f"10.244.{number}.0/32", "dev", _OVERLAY)
    run("ip", "-n", node, "addr", "add", f"fd00:244:{number}::/128", "dev", _OVERLAY, "nodad")
    run("ip", "-n", node, "link", "set", _OVERLAY, "up")


def _introduce(node: str, other: int) -> None:
    """Let a node know where the pods of another are."""
    run("bridge", "-n", node, "fdb", "append", _mac(other), "dev", _OVERLAY, "dst", node_address(other))
    for gateway, pods in (
        (f"10.244.{other}.0", f"10.244.{other}.0/24"),
        (f"fd00:244:{other}::", f"fd00:244:{other}::/64"),
    ):
        run("ip", "-n", node, "neigh", "add", gateway, "lladdr", _mac(other), "dev", _OVERLAY, "nud", "permanent")
        run("ip", "-n", node, "route", "add", pods, "via", gateway, "dev", _OVERLAY, "onlink")


def remove_networks() -> None:
    """Remove all that `make_networks` made."""
    for number in NODES:
        run("ip", "netns", "del", netns(number))
    run("ip", "link", "del", SWITCH)
