"""This machine -> the interfaces and pods that Wireshark lists, and the words that capture there.

A pod's name is in that of its entry behind its namespace, with underscores, which neither of the two can have.
"""

import fcntl
import shutil
import socket
import struct
from collections.abc import Iterator, Sequence

from capture.errors import BicapError, SpecError

ANY = "bicap"
"""The entry whose options choose where to capture."""
CLUSTER = "bicap-cluster"
"""The entry that captures pods of a cluster, through `kubectl bicap`; its options choose them."""
WAIT = "bicap-wait"
"""The entry that keeps the latest packets in memory until the toolbar's button or a rule asks for them."""
_INTERFACE, _POD = "bicap-if-", "bicap_pod_"
_SIOCGIFFLAGS, _IFF_UP = 0x8913, 1  # netdevice(7)
_DEADLINE_SECONDS = 0.1
"""Longest wait for the container runtime: Wireshark waits for the list."""


def local_interfaces() -> list[str]:
    """Return the names of the interfaces that are up; loopback last."""
    found = [name for _, name in socket.if_nameindex() if _is_up(name)]
    return sorted(found, key=lambda name: name == "lo")


def _is_up(name: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
        except OSError:
            return False  # it went while we looked
    return bool(struct.unpack_from("H", answer, 16)[0] & _IFF_UP)


def pods() -> list[str]:
    """Return the ready pods of this node as NAMESPACE/NAME; none if there is no container runtime to ask."""
    from capture.pods.sockets import find_sockets

    try:
        sockets = find_sockets()
    except BicapError:
        return []
    from capture.pods.runtime import Runtime  # loads grpc, which a machine without pods does without

    found = []
    for path in sockets:
        runtime = Runtime(path, _DEADLINE_SECONDS)
        try:
            found += [str(pod.name) for pod in runtime.look().pods if pod.ready and not pod.host_network]
        except BicapError:
            continue  # `bicap pods` says what is wrong
        finally:
            runtime.close()
    return sorted(set(found))


def has_cluster() -> bool:
    """True if kubectl and its plugin are on PATH; whether a cluster answers is said when a capture starts."""
    return all(map(shutil.which, ("kubectl", "kubectl-bicap")))


def entries() -> dict[str, str]:
    """Return the entries of Wireshark's list, and how they are shown."""
    return dict(_entries(local_interfaces(), pods(), has_cluster()))


def _entries(interfaces: Sequence[str], names: Sequence[str], cluster: bool) -> Iterator[tuple[str, str]]:
    yield ANY, "bicap: choose pods or interfaces by options"
    yield WAIT, "bicap: wait for trouble, and show the last 30 s when a button or a rule says so"
    if cluster:
        yield CLUSTER, "bicap: pods of the cluster, on all their nodes, by options"
    for name in names:
        namespace, _, pod = name.partition("/")
        yield f"{_POD}{namespace}_{pod}", f"bicap: pod {name}"
    for name in interfaces:
        yield f"{_INTERFACE}{name}", f"bicap: {name}, both directions on one clock"


def words_for(entry: str) -> list[str]:
    """Return the words of `bicap capture` that capture at an entry. Raises SpecError."""
    if entry in (ANY, WAIT, CLUSTER):
        return []
    if entry.startswith(_INTERFACE):
        return ["-i", entry.removeprefix(_INTERFACE)]
    namespace, underscore, pod = entry.removeprefix(_POD).partition("_")
    if entry.startswith(_POD) and underscore:
        return ["--pod", f"{namespace}/{pod}"]
    raise SpecError(f"{entry} is not an interface of bicap; see `tshark -D`")
