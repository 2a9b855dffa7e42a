"""`bicap pods`: the pods of this node and their interfaces -> a table, or JSON."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from capture.cli.groups import GroupedCommand, option
from capture.cli.options import pod_options
from capture.request.convert import meanings, selection_of
from capture.request.fields import OUTPUT
from capture.request.given import document_of
from capture.request.naming import on_line

if TYPE_CHECKING:
    from rich.table import Table

    from capture.plan import Place
    from capture.selection.pod import Pod

_WIDE = 10_000
"""Width without a terminal, characters: the line of a pod must not be folded."""


@click.command(cls=GroupedCommand, short_help="List the pods of this node, and their interfaces.")
@pod_options
@option(OUTPUT, "--json", "as_json", is_flag=True, help="Print the pods as a JSON list.")
def pods(as_json: bool, **options: Any) -> None:
    """List the pods of this node, and their interfaces.

    The list comes from the container runtime, not from the API server: labels are those of a pod's creation. A pod is
    NotReady when it was stopped and not yet removed.
    """
    values = meanings(document_of(options, on_line), on_line)
    from dataclasses import replace

    from capture.selection.selection import Selection
    from capture.spec import CaptureSpec
    from capture.targets.finder import Finder

    selection = selection_of(values) or Selection()
    if not selection.chooses:
        selection = replace(selection, everything=True)
    finder = Finder(CaptureSpec(pods=selection, netns=values.get("netns")))
    try:
        view = finder.look()
    finally:
        finder.close()
    listed = [(pod, _places_of(pod, view.places)) for pod in view.pods if selection.selects(pod)]
    for trouble in view.troubles:
        click.echo(f"bicap: {trouble}", err=True)
    if as_json:
        click.echo(json.dumps([_as_json(pod, places) for pod, places in listed], indent=2))
    elif listed:
        _print(listed)
    else:
        click.echo(f"bicap: no pod on this node matches {selection}", err=True)


def _places_of(pod: "Pod", places: Sequence["Place"]) -> list["Place"]:
    if pod.host_network and pod.ready:
        return [place for place in places if place.shared]
    return [place for place in places if place.pod and not place.shared and place.pod.sandbox == pod.sandbox]


def _as_json(pod: "Pod", places: Sequence["Place"]) -> dict[str, Any]:
    interfaces = [
        {
            "name": place.name.rpartition(":")[2],
            "interface": place.interface.name,
            "ifindex": place.interface.index,
            "netns": place.interface.netns,
            "at": _at(place),
        }
        for place in places
    ]
    return pod.as_json() | {"interfaces": interfaces}


def _at(place: "Place") -> str:
    """Return where packets are captured: "node" (its end of a veth), "pod" (inside), "shared" with the node."""
    return "shared" if place.shared else "pod" if place.interface.inside else "node"


def _print(listed: Sequence[tuple["Pod", Sequence["Place"]]]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(_table(listed))
        return
    console.width = _WIDE
    with console.capture() as text:
        console.print(_table(listed))
    click.echo("\n".join(line.rstrip() for line in text.get().splitlines()))


def _table(listed: Sequence[tuple["Pod", Sequence["Place"]]]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="")
    for column in ("NAMESPACE", "NAME", "STATE", "IPS", "INTERFACES", "LABELS"):
        table.add_column(column, overflow="fold")
    for pod, places in listed:
        table.add_row(
            pod.name.namespace,
            pod.name.name,
            pod.state,
            ",".join(str(address) for address in pod.addresses) or ("(node's)" if pod.host_network else "-"),
            ",".join(_interface_text(place) for place in places) or "-",
            ",".join(f"{key}={value}" for key, value in pod.labels.items()) or "-",
        )
    return table


def _interface_text(place: "Place") -> str:
    inner = place.name.rpartition(":")[2]
    return {"node": f"{inner}->{place.interface.name}", "pod": f"{inner} (inside)", "shared": f"{inner} (node's)"}[
        _at(place)
    ]
