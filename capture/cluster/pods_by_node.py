"""A capture and the pods of the cluster -> the nodes on which it runs, and the pods that each of them must know."""

from collections.abc import Iterable, Mapping

from capture.cluster.kube import KubePod
from capture.cluster.objects import PodEntry
from capture.filters.filter_h import pods_of
from capture.selection.selection import Selection
from capture.spec import CaptureSpec


def pods_by_node(spec: CaptureSpec, pods: Iterable[KubePod]) -> Mapping[str, list[PodEntry]]:
    """Return the pods for each node that has a chosen one: the chosen ones there, and all that rules name."""
    selection, ends, named = spec.pods or Selection(), spec.ends, pods_of(spec.rules)
    chosen: dict[str, list[PodEntry]] = {}
    others: list[PodEntry] = []
    for known in pods:
        if not known.runs:
            continue
        pod = known.pod()
        if selection.selects(pod) or pod.name in ends:
            chosen.setdefault(known.spec.node_name, []).append(_entry(known))
        if pod.name in named:
            others.append(_entry(known))
    return {node: _unique([*own, *others]) for node, own in sorted(chosen.items())}


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
