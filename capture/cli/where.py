"""The words of the options that select pods -> a Selection."""

from capture.errors import SpecError
from capture.filters.podname import DEFAULT_NAMESPACE, check_namespace, parse_pod_name
from capture.selection.labels import parse_selector
from capture.selection.selection import Point, Selection, parse_container


def selection_of(
    *,
    pods: tuple[str, ...],
    namespaces: tuple[str, ...],
    selector: str | None,
    containers: tuple[str, ...],
    pids: tuple[int, ...],
    all_pods: bool,
    own: bool,
    point: str | None,
    wait: bool,
    cri_sockets: tuple[str, ...],
    interfaces: tuple[str, ...],
) -> Selection | None:
    """What is selected; None if none of the options is given. Raises SpecError."""
    for namespace in namespaces:
        check_namespace(namespace, "--namespace")
    if own and interfaces:
        raise SpecError("--self is all interfaces of bicap's own namespace; leave -i out")
    if "" in cri_sockets:
        raise SpecError("--cri-socket is empty; give a path like /run/containerd/containerd.sock")
    bare = [name for name in pods if "/" not in name]
    if bare and len(namespaces) > 1:
        raise SpecError(f"--pod {bare[0]} may be in {' or '.join(namespaces)}; write --pod {namespaces[0]}/{bare[0]}")
    home = namespaces[0] if namespaces else DEFAULT_NAMESPACE
    completes = bool(bare) and not containers
    found = Selection(
        pods=tuple(parse_pod_name(name, "--pod", home) for name in pods),
        namespaces=() if completes else namespaces,
        labels=parse_selector(selector, "--selector") if selector is not None else None,
        containers=tuple(parse_container(word, "--container") for word in containers),
        processes=pids,
        everything=all_pods,
        own=own,
        point=Point(point) if point else None,
        wait=wait,
        sockets=cri_sockets,
    )
    return None if found == Selection() else found
