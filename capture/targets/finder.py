"""A spec's choice of pods -> places to capture in, addresses of pods, and names for the file.

    finder = Finder(spec)
    found = finder.look()     # repeat this after every change

A pod that cannot be examined is reported as a trouble, and does not keep the others from being found.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from capture.abi import GROUP_NODE, GROUP_PODS
from capture.errors import BicapError, PrivilegeError
from capture.filters.filter_h import pods_of
from capture.filters.podname import PodName
from capture.filters.rule import Address
from capture.plan import Place
from capture.pods.listed import ListedPods
from capture.pods.sockets import find_sockets
from capture.selection.pod import Pod
from capture.selection.selection import Selection
from capture.spec import CaptureSpec
from capture.targets.node import HostSide, Node, PodSource, node_name, runtime_at
from capture.targets.places import named_places, own_places, pod_places, process_places, shared_places


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The places, pods and addresses at one moment. `groups` are sets of bits (enum group) for the groups map."""

    places: tuple[Place, ...] = ()
    pods: tuple[Pod, ...] = ()
    groups: Mapping[Address, int] = field(default_factory=dict)
    names: Mapping[Address, str] = field(default_factory=dict)
    addresses: Mapping[PodName, tuple[Address, ...]] = field(default_factory=dict)
    """Addresses of the pods that rules name."""
    troubles: tuple[str, ...] = ()
    """Problems with single pods or runtimes, one line each."""
    answered: bool = True
    """True if every runtime answered, for every pod."""
    refusal: PrivilegeError | None = None
    """The missing privilege for which a pod is left out, if that is the reason."""


@dataclass(frozen=True, slots=True)
class _View:
    """A node at one moment, and its ready pods, the oldest first."""

    host: HostSide
    pods: tuple[Pod, ...]


class Finder:
    """Finds the places of a spec. Raises TargetError, PrivilegeError if nothing at all can be found."""

    def __init__(self, spec: CaptureSpec) -> None:
        self._spec = spec
        self._selection = spec.pods or Selection()
        self._named = pods_of(spec.rules)
        self._ends = spec.ends
        self.nodes = tuple(Node(source, spec.netns) for source in self._sources())
        self._pods: dict[str, tuple[Pod, ...]] = {}
        self._inside: dict[str, tuple[Place, ...]] = {}
        self._fixed: tuple[Place, ...] | None = None

    def _sources(self) -> Iterator[PodSource]:
        if not self._spec.follows:
            return
        if self._selection.listed:
            yield ListedPods(self._selection.listed)
        else:
            yield from map(runtime_at, find_sockets(self._selection.sockets))

    def hang_up(self) -> None:
        """Close the connections to the runtimes; threads that wait for an answer or for events get an error."""
        for node in self.nodes:
            node.runtime.close()

    def close(self) -> None:
        """Close the connections, and the namespaces."""
        for node in self.nodes:
            node.close()

    def look(self) -> Found:
        """Return the present state. A runtime that does not answer keeps its earlier pods, and is a trouble."""
        if self._fixed is None:
            self._fixed = tuple(self._fixed_places())
        troubles: list[str] = []
        silent: list[BicapError] = []
        views = list(self._ask(troubles, silent))
        answered = not (troubles or silent)
        if silent and not self._pods:
            raise silent[0]
        refusal = self._find_inside(views, troubles)
        addresses = self._addresses(views)
        places = list(self._fixed)
        for view in views:
            for pod in view.pods:
                if self._is_chosen(pod) and not pod.host_network:
                    places += _new(self._inside.get(pod.sandbox, ()), places, troubles)
            sharing = [pod for pod in view.pods if self._is_chosen(pod) and pod.host_network]
            places += _new(tuple(shared_places(sharing, view.host)) if sharing else (), places, [])
        return Found(
            places=tuple(places),
            pods=tuple(pod for pods in self._pods.values() for pod in pods),
            groups=self._groups(views, addresses),
            names=self._names(views),
            addresses=addresses,
            troubles=(*map(str, silent), *troubles),
            answered=answered,
            refusal=refusal,
        )

    def _fixed_places(self) -> Iterator[Place]:
        yield from named_places(self._spec)
        for pid in self._selection.processes:
            yield from process_places(pid, self._spec.netns)
        if self._selection.own:
            yield from own_places()

    def _is_chosen(self, pod: Pod) -> bool:
        return not pod.elsewhere and (self._selection.selects(pod) or pod.name in self._ends)

    def _ask(self, troubles: list[str], silent: list[BicapError]) -> Iterator[_View]:
        for node in self.nodes:
            try:
                listing = node.runtime.look()
                troubles += listing.troubles
                self._pods[node.runtime.path] = listing.pods
            except BicapError as error:
                silent.append(error)
            if node.runtime.path in self._pods:
                ready = [pod for pod in self._pods[node.runtime.path] if pod.ready]
                yield _View(HostSide.of(node.namespace), tuple(sorted(ready, key=lambda pod: pod.created_ns)))

    def _find_inside(self, views: Sequence[_View], troubles: list[str]) -> PrivilegeError | None:
        """Find the interfaces of pods that are chosen or named by rules, once for each sandbox.

        Adds to `troubles`. Returns the missing privilege that kept a pod out, if any did.
        """
        present = {pod.sandbox for view in views for pod in view.pods}
        self._inside = {sandbox: places for sandbox, places in self._inside.items() if sandbox in present}
        refusal: PrivilegeError | None = None
        for view in views:
            for pod in view.pods:
                needed = self._is_chosen(pod) or (pod.name in self._named and not pod.elsewhere)
                if needed and not pod.host_network and pod.sandbox not in self._inside:
                    try:
                        self._inside[pod.sandbox] = pod_places(pod, view.host)
                    except BicapError as error:
                        troubles.append(f"pod {pod.name} is left out: {error}")
                        refusal = error if isinstance(error, PrivilegeError) else refusal
        return refusal

    def _addresses_of(self, pod: Pod) -> tuple[Address, ...]:
        """Return the addresses from the runtime and those of the pod's interfaces, which also has a second
        network's."""
        inside = (address for place in self._inside.get(pod.sandbox, ()) for address in place.addresses)
        return tuple(dict.fromkeys((*pod.addresses, *inside)))

    def _addresses(self, views: Sequence[_View]) -> dict[PodName, tuple[Address, ...]]:
        return {
            pod.name: view.host.addresses if pod.host_network and not pod.elsewhere else self._addresses_of(pod)
            for view in views
            for pod in view.pods
            if pod.name in self._named
        }

    def _names(self, views: Sequence[_View]) -> dict[Address, str]:
        names: dict[Address, str] = {}
        for view in views:
            names |= dict.fromkeys(view.host.addresses, node_name())
        for view in views:
            for pod in view.pods:
                if not pod.host_network:
                    names |= dict.fromkeys(self._addresses_of(pod), str(pod.name))
        return names

    def _groups(self, views: Sequence[_View], addresses: Mapping[PodName, tuple[Address, ...]]) -> dict[Address, int]:
        groups: dict[Address, int] = {}
        for view in views:
            if any(pod.host_network and self._is_chosen(pod) for pod in view.pods):
                groups |= dict.fromkeys(view.host.addresses, 1 << GROUP_NODE)
        for number, name in enumerate(self._named):
            for address in addresses.get(name, ()):
                groups[address] = groups.get(address, 0) | 1 << (GROUP_PODS + number)
        return groups


def _new(found: Sequence[Place], before: Sequence[Place], troubles: list[str]) -> list[Place]:
    """Return the places that are not in `before`: a second capture there would record each packet twice."""
    captured = {place.interface.key: place for place in before}
    for place in found:
        other = captured.get(place.interface.key)
        if other is not None:
            troubles.append(f"{place.name} is left out: {place.interface.name} is captured already, as {other.name}")
    return [place for place in found if place.interface.key not in captured]
