"""A spec's choice of pods -> places to capture in, addresses of pods, and names for the file.

    finder = Finder(spec)
    found = finder.look()     # again whenever something changed

A pod that cannot be looked into is told as a trouble, and the others are found all the same.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from capture.errors import BicapError, SpecError, TargetError
from capture.filters.podname import PodName
from capture.filters.program import pods_of
from capture.filters.rule import Address
from capture.kernel.links import Link, find_interfaces, links_in
from capture.kernel.netns import Namespace
from capture.plan import Interface, Place, place_of
from capture.pods.sockets import find_sockets
from capture.selection.pod import Pod
from capture.selection.selection import Point, Selection
from capture.spec import CaptureSpec
from capture.stream.layout import GROUP_NODE, GROUP_PODS
from capture.targets.node import HostSide, Node, is_useful, node_name

LABELS_SHOWN = 512
"""Characters of labels in a description; the JSON summary has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there was at one moment. `groups` are sets of bits (enum group) for the groups map."""

    places: tuple[Place, ...] = ()
    pods: tuple[Pod, ...] = ()
    groups: Mapping[Address, int] = field(default_factory=dict)
    names: Mapping[Address, str] = field(default_factory=dict)
    addresses: Mapping[PodName, tuple[Address, ...]] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    answered: bool = True
    """Whether every runtime answered, for every pod."""


class Finder:
    """Looks for what a spec means. Raises TargetError, PrivilegeError where nothing at all can be found out."""

    def __init__(self, spec: CaptureSpec) -> None:
        self._spec = spec
        self._selection = spec.pods or Selection()
        self._named = pods_of(spec.rules)
        self._ends = _ends(spec)
        sockets = find_sockets(self._selection.sockets) if spec.follows else ()
        self.nodes = tuple(Node(path, spec.netns) for path in sockets)
        self._pods: dict[str, tuple[Pod, ...]] = {}
        self._inside: dict[str, tuple[Place, ...]] = {}
        self._fixed: tuple[Place, ...] | None = None

    def hang_up(self) -> None:
        """Ask the runtimes nothing more; who waits for an answer, or for events, gets an error."""
        for node in self.nodes:
            node.runtime.close()

    def close(self) -> None:
        """Hang up, and give back what is held."""
        for node in self.nodes:
            node.close()

    def look(self) -> Found:
        """What there is now. A runtime that does not answer keeps the pods it had; that is told as a trouble."""
        troubles: list[str] = []
        answered = True
        if self._fixed is None:
            self._fixed = (*self._by_name(), *self._of_processes(), *self._own())
        places = [*self._fixed]
        addresses: dict[PodName, tuple[Address, ...]] = {}
        names: dict[Address, str] = {}
        on_nodes: set[Address] = set()
        silent: list[BicapError] = []
        for node in self.nodes:
            try:
                answered &= self._ask(node, troubles)
                host = HostSide.of(node.namespace)
            except BicapError as error:
                silent.append(error)
                if node.runtime.path not in self._pods:
                    continue
                host = HostSide.of(node.namespace)
            own = {address for link in host.own for address in link.addresses}
            ready = sorted(
                (pod for pod in self._pods[node.runtime.path] if pod.ready), key=lambda pod: pod.created_ns
            )
            for pod in ready:
                addresses[pod.name] = tuple(own) if pod.host_network else pod.addresses
                if not pod.host_network:
                    names |= dict.fromkeys(pod.addresses, str(pod.name))
            chosen = [pod for pod in ready if self._selection.selects(pod) or pod.name in self._ends]
            for pod in chosen:
                if not pod.host_network:
                    places += _new(self._places(pod, host, troubles), places, troubles)
            sharing = [pod for pod in chosen if pod.host_network]
            if sharing:
                places += _shared(sharing, host)
                on_nodes |= own
            names = dict.fromkeys(own, node_name()) | names
        if silent and not self._pods:
            raise silent[0]
        return Found(
            places=tuple({place.key: place for place in reversed(places)}.values())[::-1],
            pods=tuple(pod for pods in self._pods.values() for pod in pods),
            groups=self._groups(addresses, on_nodes),
            names=names,
            addresses={name: addresses[name] for name in self._named if name in addresses},
            troubles=(*map(str, silent), *troubles),
            answered=answered and not silent,
        )

    def _ask(self, node: Node, troubles: list[str]) -> bool:
        """Whether it answered for every pod. Raises BicapError if for none."""
        listing = node.runtime.look()
        troubles += listing.troubles
        self._pods[node.runtime.path] = listing.pods
        there = {pod.sandbox for pods in self._pods.values() for pod in pods if pod.ready}
        self._inside = {sandbox: places for sandbox, places in self._inside.items() if sandbox in there}
        return not listing.troubles

    def _groups(self, addresses: Mapping[PodName, tuple[Address, ...]], on_nodes: set[Address]) -> dict[Address, int]:
        groups = dict.fromkeys(on_nodes, 1 << GROUP_NODE)
        for number, name in enumerate(self._named):
            for address in addresses.get(name, ()):
                groups[address] = groups.get(address, 0) | 1 << (GROUP_PODS + number)
        return groups

    def _by_name(self) -> list[Place]:
        if not self._spec.interfaces:
            return []
        namespace = Namespace(self._spec.netns)
        try:
            return [place_of(interface) for interface in find_interfaces(self._spec.interfaces, namespace)]
        finally:
            namespace.close()

    def _own(self) -> Iterator[Place]:
        if self._selection.own:
            namespace = Namespace()
            pod = "/".join(filter(None, (os.environ.get("POD_NAMESPACE"), os.environ.get("POD_NAME"))))
            for link in links_in(namespace):
                if is_useful(link):
                    name = pod or os.uname().nodename
                    yield _inside(link, name, f"interface of {name}, where bicap runs", None)

    def _of_processes(self) -> Iterator[Place]:
        for pid in self._selection.processes:
            own, inside = Namespace(self._spec.netns), _namespace_of(pid)
            try:
                if own.inode == inside.inode:
                    raise SpecError(f"process {pid} is in the node's own network; name an interface with -i")
                host = HostSide.of(own)
                yield from _ends_of(inside, host, f"pid-{pid}", f"process {pid}, {node_name()}", None)
            finally:
                own.close()
                inside.close()

    def _places(self, pod: Pod, host: HostSide, troubles: list[str]) -> tuple[Place, ...]:
        """Where a pod's packets pass, looked up once in its life."""
        if pod.sandbox not in self._inside:
            try:
                if pod.netns is None:
                    raise TargetError("the runtime does not tell its network namespace")
                inside = Namespace(pod.netns)
                try:
                    if inside.inode == host.namespace.inode:
                        raise TargetError("what the runtime tells as its network namespace is the node's own")
                    found = tuple(_ends_of(inside, host, str(pod.name), _description(pod), pod))
                finally:
                    inside.close()
            except BicapError as error:
                troubles.append(f"pod {pod.name} is left out: {error}")
                return ()
            if not found:
                troubles.append(f"pod {pod.name} is left out: it has no interface but its loopback")
                return ()
            self._inside[pod.sandbox] = found
        return self._inside[pod.sandbox]


def _new(found: Sequence[Place], before: Sequence[Place], troubles: list[str]) -> Iterator[Place]:
    """Those that are not captured already, each packet of which would be there twice."""
    taken = {place.interface.key: place for place in before}
    for place in found:
        other = taken.get(place.interface.key)
        if other is None:
            yield place
        else:
            troubles.append(f"{place.name} is left out: it is on {place.interface.name}, which is {other.name}")


def _ends(spec: CaptureSpec) -> frozenset[PodName]:
    """The pods at whose interfaces the rules' conversations are caught."""
    point = spec.pods.point if spec.pods else None
    sides = {Point.SOURCE: ("source",), Point.DESTINATION: ("destination",), Point.BOTH: ("source", "destination")}
    named = (getattr(rule, side).pod for rule in spec.rules for side in (sides[point] if point else ()))
    return frozenset(pod for pod in named if pod is not None)


def _namespace_of(pid: int) -> Namespace:
    try:
        return Namespace(f"/proc/{pid}/ns/net")
    except TargetError:
        raise TargetError(f"process {pid} does not exist, as far as this namespace of pids goes") from None


def _ends_of(inside: Namespace, host: HostSide, name: str, what: str, pod: Pod | None) -> Iterator[Place]:
    """Each interface of a namespace by its end on the node, out of the pod's reach; else inside."""
    for link, peer in host.ends_of(inside):
        if peer is None:
            yield _inside(link, name, what, pod, inside.name)
            continue
        yield Place(
            interface=replace(peer, pod_side=True, netns_path=host.namespace.name),
            name=f"{name}:{link.interface.name}",
            description=f"{what}, host interface {peer.name}, ifindex {peer.index}; inbound is to the pod",
            pod=pod,
        )


def _inside(link: Link, name: str, what: str, pod: Pod | None, path: str | None = None) -> Place:
    here: Interface = replace(link.interface, pod_side=False, inside=True, netns_path=path)
    return Place(
        interface=here,
        name=f"{name}:{here.name}",
        description=f"{what}, caught inside, ifindex {here.index}; inbound is to the pod",
        pod=pod,
    )


def _shared(pods: list[Pod], host: HostSide) -> Iterator[Place]:
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


def _description(pod: Pod) -> str:
    labels = ",".join(f"{key}={value}" for key, value in pod.labels.items())
    if len(labels) > LABELS_SHOWN:
        labels = labels[:LABELS_SHOWN] + "..."
    return f"pod {pod.name}, UID {pod.uid}, labels {labels or 'none'}, node {node_name()}"
