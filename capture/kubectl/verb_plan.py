"""`kubectl bicap plan`: the words of a capture -> what it would write on each node and into its store."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from capture.cli.groups import ORDER, GroupedCommand, option
from capture.cluster.admission import admitted, checked_spec
from capture.cluster.decision import TTL_DEFAULT
from capture.cluster.kube import LEASE_NAMESPACE, KubePod
from capture.cluster.node_disk import NodeState, node_states
from capture.cluster.pods_by_node import chosen_by_node
from capture.errors import ApiError, SpecError, TargetError
from capture.estimate.load import parse_assumed
from capture.kubectl.capture_request import capture_request, request_options
from capture.kubectl.cluster_captures import CaptureApi
from capture.kubectl.cluster_options import capture_name, cluster_options
from capture.kubectl.cluster_plan import LoadFigures, assumed_figures, measured_figures, plan_cluster
from capture.kubectl.kubectl_command import Kubectl
from capture.kubectl.on_terminal import tell
from capture.kubectl.verb_capture import TO_HELP
from capture.request.document import Document
from capture.units import format_duration, parse_size

ESTIMATE = "Estimate"


@click.command("plan", cls=GroupedCommand)
@click.argument("words", nargs=-1, metavar="[TARGET]... [EXPRESSION]...")
@option("Where", "--to", multiple=True, metavar="TARGET|ADDRESS", help=TO_HELP)
@request_options
@option(
    ESTIMATE,
    "--assume",
    metavar="LOAD",
    help="The load of each pod, both directions together: two of packets, packet size and bits per second, like "
    "20kpps,800B or 100mbit,800B.",
)
@option(
    ESTIMATE,
    "--like",
    metavar="NAME",
    help="The load that another capture has met: what it wrote per second on each node, in the form of its files.",
)
@option(ESTIMATE, "--store-room", metavar="SIZE", help="Room in the store, like 2TiB: says how long it lasts.")
@option(ESTIMATE, "--json", "as_json", is_flag=True, help="JSON.")
@cluster_options
@click.pass_context
def plan(
    context: click.Context,
    /,
    kubectl: Kubectl,
    words: Sequence[str],
    to: Sequence[str],
    assume: str | None,
    like: str | None,
    store_room: str | None,
    as_json: bool,
    cluster: bool,
    **options: Any,
) -> None:
    """Say what a capture would write on each node, and how long disks and store last. Creates nothing.

    Takes the words and options of kubectl bicap capture. The traffic of pods is not known to a cluster: give it by
    --assume, or name a capture by --like. Agents tell how full their disks are. Limits hold on each node.
    """
    if (assume is None) == (like is None):
        raise SpecError("the load is not known; give --assume, like 20kpps,800B for each pod, or --like NAME")
    load = parse_assumed(assume) if assume is not None else None
    room = None if store_room is None else parse_size(store_room, "--store-room")
    api, namespace, now = CaptureApi(kubectl), kubectl.current_namespace(), datetime.now(UTC)
    request = capture_request(context.meta[ORDER], options, words, to, namespace, cluster, api.resolve)
    document = admitted(request.kind, "plan", "" if cluster else namespace, request.spec)
    spec = checked_spec(document)
    if room is not None and document.store.name is None:
        raise SpecError("--store-room is for a capture with a store; name one with --store")
    if document.target.interfaces:
        raise SpecError(
            "a plan is about pods; for interfaces of a node run bicap plan -i there, which counts packets"
        )
    pods = chosen_by_node(spec, _pods(kubectl, "" if cluster else namespace), whole_nodes=cluster)
    if not pods:
        raise TargetError("no pods are chosen that run now; kubectl bicap pods lists those of a target")
    figures = _figures(api, like, cluster, now) if load is None else assumed_figures(assume or "", load, pods)
    found = plan_cluster(
        spec,
        pods,
        figures,
        _states(kubectl),
        now,
        stays=_stays(document),
        store=document.store.name or "",
        store_room=room,
    )
    for line in [json.dumps(found.as_json(), indent=2)] if as_json else found.lines():
        click.echo(line)


def _pods(kubectl: Kubectl, namespace: str) -> list[KubePod]:
    where = ("-n", namespace) if namespace else ("-A",)
    return msgspec.convert(kubectl.json("get", "pods", *where, "-o", "json")["items"], list[KubePod])


def _figures(api: CaptureApi, like: str | None, cluster: bool, now: datetime) -> LoadFigures:
    name = capture_name(api, like or "", cluster)
    return measured_figures(str(name), api.read(name).status, now)


def _states(kubectl: Kubectl) -> Mapping[str, NodeState] | None:
    try:
        return node_states(kubectl.json("get", "leases", "-n", LEASE_NAMESPACE, "-o", "json")["items"])
    except ApiError as error:
        if error.code != 403:
            raise
        tell(f"warning: disks are not known: {error}; the role bicap-planner in {LEASE_NAMESPACE} allows it")
        return None


def _stays(document: Document) -> str:
    ttl = document.storage.ttl or format_duration(TTL_DEFAULT.total_seconds() * 1e9)
    upload = ", and until the store has confirmed them" if document.store.name else ""
    return f"until the capture is deleted, {ttl} after its end at the latest{upload}"
