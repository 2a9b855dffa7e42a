"""Interfaces of a namespace, and their owner -> places to capture in, with their names and descriptions in the
file."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from capture.errors import SpecError, TargetError
from capture.kernel.links import Link, find_interfaces, links_in
from capture.kernel.netns import Namespace
from capture.plan import Place, place_of
from capture.selection.pod import Pod
from capture.spec import CaptureSpec
from capture.targets.node import HostSide, is_useful, node_name

LABELS_SHOWN = 512
"""Most characters of labels in a description; the JSON summary has all of them."""
POD_NAMESPACE, POD_NAME = "POD_NAMESPACE", "POD_NAME"
"""Environment variables with the pod's own name, for bicap in a pod (downward API)."""


def named_places(spec: CaptureSpec) -> list[Place]:
    """Return the interfaces that a spec names. Raises TargetError, SpecError."""
    if not spec.interfaces:
        return []
    namespace = Namespace(spec.netns)
    try:
        return [place_of(interface) for interface in find_interfaces(spec.interfaces, namespace)]
    finally:
        namespace.close()


def own_places() -> list[Place]:
    """Return the interfaces of the namespace in which bicap runs, which are those of its pod."""
    namespace = Namespace()
    try:
        name = "/".join(filter(None, (os.environ.get(POD_NAMESPACE), os.environ.get(POD_NAME))))
        name = name or os.uname().nodename
        what = f"interface of {name}, where bicap runs"
        return [_inside(link, name, what, None) for link in links_in(namespace) if is_useful(link)]
    finally:
        namespace.close()


def process_places(pid: int, netns: str | None) -> list[Place]:
    """Return the interfaces of a process's namespace; `netns` is its node's. Raises TargetError, SpecError."""
    try:
        inside = Namespace(f"/proc/{pid}/ns/net")
    except TargetError:
        raise TargetError(f"pid {pid} does not exist in this pid namespace") from None
    own = Namespace(netns)
    try:
        if own.inode == inside.inode:
            raise SpecError(f"pid {pid} is in the node's own network namespace; name an interface with -i")
        return list(_ends(inside, HostSide.of(own), f"pid-{pid}", f"process {pid}, node {node_name()}", None))
    finally:
        own.close()
        inside.close()


def pod_places(pod: Pod, host: HostSide) -> tuple[Place, ...]:
    """Return the interfaces of a pod that has a network namespace of its own. Raises BicapError."""
    if pod.netns is None:
        raise TargetError("the runtime does not report its network namespace")
    inside = Namespace(pod.netns)
    try:
        if inside.inode == host.namespace.inode:
            raise TargetError("the runtime reports the node's own network namespace for it")
        places = tuple(_ends(inside, host, str(pod.name), _description(pod), pod))
    finally:
        inside.close()
    if not places:
        raise TargetError("it has no interface but its loopback")
    return places


def shared_places(pods: Sequence[Pod], host: HostSide) -> Iterator[Place]:
    """Yield the interfaces that pods share with their node."""
    names = ", ".join(str(pod.name) for pod in pods)
    for link in host.own:
        here = replace(link.interface, pod_side=False, netns_path=host.namespace.name)
        yield Place(
            interface=here,
            name=f"{pods[0].name if len(pods) == 1 else 'hostNetwork'}:{here.name}",
            description=f"hostNetwork of {names}; node {node_name()}, interface {here.name}, ifindex {here.index}; "
            "only packets from or to addresses of the node, of all who use them; inbound is to the node",
            pod=pods[0] if len(pods) == 1 else None,
            shared=True,
        )


def _ends(inside: Namespace, host: HostSide, name: str, what: str, pod: Pod | None) -> Iterator[Place]:
    """Yield each interface of a namespace: its end on the node, which the pod cannot reach, or else the inside
    one."""
    for link, peer in host.ends_of(inside):
        if peer is None:
            yield _inside(link, name, what, pod, inside.name)
            continue
        yield Place(
            interface=replace(peer, pod_side=True, netns_path=host.namespace.name),
            name=f"{name}:{link.interface.name}",
            description=f"{what}, host interface {peer.name}, ifindex {peer.index}; inbound is to the pod",
            pod=pod,
            addresses=link.routable,
        )


def _inside(link: Link, name: str, what: str, pod: Pod | None, path: str | None = None) -> Place:
    here = replace(link.interface, pod_side=False, inside=True, netns_path=path)
    return Place(
        interface=here,
        name=f"{name}:{here.name}",
        description=f"{what}, caught inside, ifindex {here.index}; inbound is to the pod",
        pod=pod,
        addresses=link.routable,
    )


def _description(pod: Pod) -> str:
    labels = ",".join(f"{key}={value}" for key, value in pod.labels.items())
    if len(labels) > LABELS_SHOWN:
        labels = labels[:LABELS_SHOWN] + "..."
    return f"pod {pod.name}, UID {pod.uid}, labels {labels or 'none'}, node {node_name()}"
