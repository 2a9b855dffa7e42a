"""A capture and the pods of the cluster -> the nodes on which it runs, and the pods that each of them must know."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from capture.cluster.kube import KubePod
from capture.cluster.objects import PodEntry
from capture.filters.filter_h import pods_of
from capture.request.document import TargetPart
from capture.selection.selection import Selection
from capture.spec import CaptureSpec


@dataclass(frozen=True, slots=True)
class PodPlaces:
    """The pods for each node that has a chosen one; chosen ones that are left out, as they share a node's network."""

    by_node: Mapping[str, list[PodEntry]]
    sharing: list[str]


def chosen_by_node(spec: CaptureSpec, pods: Iterable[KubePod], whole_nodes: bool) -> Mapping[str, list[KubePod]]:
    """Return the pods to capture at that run, for each node that has one.

    Pods that share the network of their node are captured at its interfaces, where packets of all namespaces pass:
    only with `whole_nodes`.
    """
    chosen: dict[str, list[KubePod]] = {}
    for known in _chosen(spec, pods):
        if whole_nodes or not known.spec.host_network:
            chosen.setdefault(known.spec.node_name, []).append(known)
    return dict(sorted(chosen.items()))


def _chosen(spec: CaptureSpec, pods: Iterable[KubePod]) -> Iterator[KubePod]:
    selection, ends = spec.pods or Selection(), spec.ends
    for known in pods:
        if known.runs:
            pod = known.pod()
            if selection.selects(pod) or pod.name in ends:
                yield known


def pod_places(spec: CaptureSpec, pods: Iterable[KubePod], whole_nodes: bool) -> PodPlaces:
    """Return where a capture runs: the chosen pods of each node, and with them all that rules name.

    A pod that is left out may be the other side of a rule, by its address.
    """
    chosen, named = list(_chosen(spec, pods := list(pods))), pods_of(spec.rules)
    others = []
    for known in pods if named else ():
        if known.runs and known.pod().name in named:
            entry = _entry(known)
            elsewhere = known.spec.host_network and not whole_nodes
            others.append(msgspec.structs.replace(entry, node="") if elsewhere else entry)
    by_node = chosen_by_node(spec, chosen, whole_nodes)
    sharing = [] if whole_nodes else [str(known.pod().name) for known in chosen if known.spec.host_network]
    return PodPlaces({node: _unique([*map(_entry, own), *others]) for node, own in by_node.items()}, sorted(sharing))


def on_nodes(places: PodPlaces, target: TargetPart, with_agent: Iterable[str]) -> PodPlaces:
    """Return the places on the nodes that are asked for; interfaces of nodes need no pod, but they need an agent."""
    wanted = target.nodes or ([*places.by_node, *with_agent] if target.interfaces else list(places.by_node))
    found: dict[str, list[PodEntry]] = {node: [] for node in wanted} if target.interfaces else {}
    found |= {node: pods for node, pods in places.by_node.items() if node in set(wanted)}
    return PodPlaces(dict(sorted(found.items())), places.sharing)


def waiting_text(spec: CaptureSpec, places: PodPlaces) -> str:
    """Return what a capture without a place waits for."""
    if not places.sharing:
        return f"no pod matches: {spec.pods}" if spec.pods else "no node has an agent"
    names = ", ".join(places.sharing[:3]) + (" and others" if len(places.sharing) > 3 else "")
    return f"{names}: hostNetwork, where packets of all namespaces pass; ask for a ClusterPacketCapture"


def _entry(pod: KubePod) -> PodEntry:
    return PodEntry(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        node=pod.spec.node_name,
        labels=pod.metadata.labels,
        ips=[one.ip for one in pod.status.pod_ips if one.ip],
        host_network=pod.spec.host_network,
    )


def _unique(pods: Iterable[PodEntry]) -> list[PodEntry]:
    by_uid = {pod.uid: pod for pod in pods}
    return sorted(by_uid.values(), key=lambda pod: (pod.namespace, pod.name, pod.uid))
