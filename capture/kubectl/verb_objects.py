"""`kubectl bicap get`, `describe`, `stop`, `rm`, `fetch`, `pods`: captures of the cluster by their names."""

import sys
from collections.abc import Iterator, Sequence

import click

from capture.cli.groups import GroupedCommand, option
from capture.errors import SpecError
from capture.kubectl.chosen_pods import NamedPod
from capture.kubectl.cluster_captures import CaptureApi, CaptureName, lists
from capture.kubectl.cluster_options import capture_name, cluster_options
from capture.kubectl.follow_capture import follow
from capture.kubectl.kubectl_command import Kubectl
from capture.kubectl.on_terminal import UserEnding, tell
from capture.kubectl.progress_lines import description, is_over
from capture.kubectl.target_words import not_a_target, split_words
from capture.kubectl.verb_capture import finish
from capture.request.fields import OUTPUT


@click.command("get", cls=GroupedCommand)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@option(OUTPUT, "-o", "--output", metavar="FORM", help="As for kubectl get: wide, json, yaml, name.")
@option("Cluster", "-A", "--all-namespaces", is_flag=True, help="Captures of all namespaces.")
@cluster_options
def get(kubectl: Kubectl, names: Sequence[str], output: str | None, all_namespaces: bool, cluster: bool) -> None:
    """List captures, as kubectl get does."""
    name = CaptureName("", "" if cluster else kubectl.current_namespace())
    where = ("-A",) if all_namespaces and not cluster else name.where
    form = ("-o", output) if output else ()
    click.echo(kubectl.run("get", name.resource, *names, *where, *form), nl=False)


@click.command("describe", cls=GroupedCommand)
@click.argument("name")
@cluster_options
def describe(kubectl: Kubectl, name: str, cluster: bool) -> None:
    """Say what became of a capture on each node: packets, losses, files, times without capturing, the clock."""
    api = CaptureApi(kubectl)
    for line in description(api.read(capture_name(api, name, cluster))):
        click.echo(line)


@click.command("stop", cls=GroupedCommand)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@cluster_options
def stop(kubectl: Kubectl, names: Sequence[str], cluster: bool) -> None:
    """End captures, and keep what was caught."""
    api = CaptureApi(kubectl)
    for text in names:
        name = capture_name(api, text, cluster)
        api.stop(name)
        click.echo(f"{name} ends; kubectl bicap fetch {text} brings what was caught")


@click.command("rm", cls=GroupedCommand)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@cluster_options
def rm(kubectl: Kubectl, names: Sequence[str], cluster: bool) -> None:
    """Delete captures, with their files on the nodes."""
    api = CaptureApi(kubectl)
    for text in names:
        name = capture_name(api, text, cluster)
        api.read(name)
        api.delete(name, wait=True)
        click.echo(f"{name} deleted")


@click.command("fetch", cls=GroupedCommand)
@click.argument("name")
@option(OUTPUT, "-w", "--write", "output", metavar="FILE", help="pcapng file here.  [default: NAME.pcapng]")
@option(OUTPUT, "--split", is_flag=True, help="The files of the nodes as they are, in the folder that -w names.")
@option(OUTPUT, "--rm", "remove", is_flag=True, help="Delete the object with its files when everything is here.")
@cluster_options
def fetch(kubectl: Kubectl, name: str, output: str | None, split: bool, remove: bool, cluster: bool) -> None:
    """Fetch what a capture caught, in order of time, into one file.

    A capture that still runs is followed to its end; Ctrl-C ends it. Of a recorder that still runs, the incidents are
    fetched that are complete now. What a broken connection, or Ctrl-C, has left here is not fetched again. The exit
    code is 8 if a part of it could not be fetched.
    """
    if output == "-":
        raise SpecError("fetch writes a file; a live stream is kubectl bicap capture TARGET -w -")
    api = CaptureApi(kubectl)
    found = capture_name(api, name, cluster)
    capture = api.read(found)
    if not is_over(capture.status) and capture.status.recorder is not None:
        if remove:
            raise SpecError(f"{found} still records, and --rm would end it; kubectl bicap stop {name} ends it first")
        tell(f"{found} still records; what is complete now is fetched")
    elif not is_over(capture.status):
        tell(f"{found} still runs; Ctrl-C ends it")
        with UserEnding() as ending:
            capture = follow(api, found, capture, ending)
    finish(api, found, capture, output or (found.name if split else f"{found.name}.pcapng"), split, remove)


@click.command("pods", cls=GroupedCommand)
@click.argument("words", nargs=-1, metavar="[TARGET]...")
@option("Where", "-l", "--selector", metavar="LABELS", help="Pods by their labels, as for kubectl.")
@cluster_options
def pods(kubectl: Kubectl, words: Sequence[str], selector: str | None, cluster: bool) -> None:
    """List the pods that a target means now, and their nodes."""
    api = CaptureApi(kubectl)
    space = kubectl.current_namespace()
    targets, rest = split_words(words)
    if rest:
        raise not_a_target(rest[0])
    if targets and selector:
        raise SpecError("-l and a target both choose pods; give one of them")
    found = [pod for one in lists(api, targets, space) for pod in one.pods]
    if not targets:
        found = api.pods(space, selector or "")
    for line in _table(list(dict.fromkeys(found))):
        click.echo(line)
    if not found:
        print("bicap: no pods", file=sys.stderr)


def _table(found: Sequence[NamedPod]) -> Iterator[str]:
    rows = [("POD", "NODE", "IP", "PHASE")]
    rows += [(f"{pod.namespace}/{pod.name}", pod.node or "-", pod.ip or "-", pod.phase) for pod in found]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
