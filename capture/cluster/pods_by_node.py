"""A capture and the pods of the cluster -> the nodes on which it runs, and the pods that each of them must know."""

from collections.abc import Iterable, Mapping

from capture.cluster.kube import KubePod
from capture.cluster.objects import PodEntry
from capture.filters.filter_h import pods_of
from capture.selection.selection import Selection
from capture.spec import CaptureSpec


def chosen_by_node(spec: CaptureSpec, pods: Iterable[KubePod]) -> Mapping[str, list[KubePod]]:
    """Return the pods to capture at that run, for each node that has one."""
    selection, ends = spec.pods or Selection(), spec.ends
    chosen: dict[str, list[KubePod]] = {}
    for known in pods:
        if known.runs:
            pod = known.pod()
            if selection.selects(pod) or pod.name in ends:
                chosen.setdefault(known.spec.node_name, []).append(known)
    return dict(sorted(chosen.items()))


def pods_by_node(spec: CaptureSpec, pods: Iterable[KubePod]) -> Mapping[str, list[PodEntry]]:
    """Return the pods for each node that has a chosen one: the chosen ones there, and all that rules name."""
    every, named = list(pods), pods_of(spec.rules)
    others = [_entry(known) for known in every if known.runs and known.pod().name in named]
    return {node: _unique([*map(_entry, own), *others]) for node, own in chosen_by_node(spec, every).items()}


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
