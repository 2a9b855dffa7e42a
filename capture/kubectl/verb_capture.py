"""`kubectl bicap capture`: words -> a capture in the cluster -> a file here, or a live stream."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from capture.cli.groups import ORDER, GroupedCommand, option
from capture.cluster.objects import CaptureObject
from capture.errors import BicapError, PartialError, SpecError, TargetError
from capture.kubectl.capture_request import CaptureRequest, capture_request, request_options
from capture.kubectl.cluster_captures import CaptureApi, CaptureName
from capture.kubectl.cluster_options import cluster_options
from capture.kubectl.follow_capture import follow
from capture.kubectl.held_capture import HeldCapture
from capture.kubectl.kubectl_command import Kubectl
from capture.kubectl.live_stream import stream
from capture.kubectl.on_terminal import UserEnding, tell
from capture.kubectl.retrieved import report, retrieve
from capture.request.fields import OUTPUT

TO_HELP = (
    "The other end: conversations with it only, and with a target captured at both ends. deploy/api, svc/db:5432, "
    "10.0.0.0/8:443 or :53; may be repeated."
)


@click.command("capture", cls=GroupedCommand)
@click.argument("words", nargs=-1, metavar="[TARGET]... [EXPRESSION]...")
@option(
    "Where",
    "--to",
    multiple=True,
    metavar="TARGET|ADDRESS",
    help=TO_HELP,
)
@request_options
@option(
    OUTPUT,
    "-w",
    "--write",
    "output",
    metavar="FILE",
    help="pcapng file here, or - for a live stream on stdout.  [default: NAME.pcapng]",
)
@option(OUTPUT, "--split", is_flag=True, help="The files of the nodes as they are, in the folder that -w names.")
@option(OUTPUT, "--name", metavar="NAME", help="Name of the object.  [default: the target's, with some letters]")
@option(OUTPUT, "-d", "--detach", is_flag=True, help="Print the name of the object, and leave it running.")
@option(OUTPUT, "--dry-run", is_flag=True, help="Print the object, and create nothing.")
@option(
    OUTPUT,
    "--rm/--no-rm",
    "remove",
    default=None,
    help="Delete the object with its files on the nodes, also if not all of them could be fetched; or never.  "
    "[default: when everything is here]",
)
@cluster_options
@click.pass_context
def capture(
    context: click.Context,
    /,
    kubectl: Kubectl,
    words: Sequence[str],
    to: Sequence[str],
    output: str | None,
    split: bool,
    name: str | None,
    detach: bool,
    dry_run: bool,
    remove: bool | None,
    cluster: bool,
    **options: Any,
) -> None:
    """Capture pods of a cluster, wherever they are, into one pcapng file here.

    TARGET is deploy/NAME, pod/NAME, svc/NAME, sts/NAME, ds/NAME, job/NAME or ns/NAME; labels are given with -l. A
    deployment's pods that come later are captured, too. EXPRESSION is a tcpdump filter (man pcap-filter); rules can
    be given instead.

    Ctrl-C, or a limit, ends the capture; what was caught is then fetched and merged in order of time. With -w - it is
    a live stream: kubectl bicap capture deploy/web -w - | wireshark -k -i -

    The exit code is 8 if a part of it could not be fetched: that is named, and kept in the cluster.
    """
    if detach and output is not None:
        raise SpecError("--detach leaves the capture running; fetch it later: kubectl bicap fetch NAME -w FILE")
    if split and output in (None, "-"):
        raise SpecError("--split needs a folder; name it with -w")
    api = CaptureApi(kubectl)
    namespace = kubectl.current_namespace()
    request = capture_request(context.meta[ORDER], options, words, to, namespace, cluster, api.resolve)
    asked = CaptureName(name or request.stem, "" if cluster else namespace)
    if dry_run:
        click.echo(json.dumps(_object(request, asked, generate=name is None), indent=2))
        return
    for remark in request.remarks:
        tell(remark)
    if output == "-" and sys.stdout.isatty():
        raise SpecError("-w - writes pcapng, which is not for a terminal; pipe it: ... -w - | wireshark -k -i -")
    with UserEnding() as ending:  # from here on, whatever ends it knows the name of the object
        created = api.create(asked, request.spec, generate=name is None)
        made = CaptureName(created.metadata.name, asked.namespace)
        if detach:
            click.echo(made)
            return
        if output == "-":
            stream(api, made, created, ending, keep=remove is False)
            return
        tell(f"{made.kind} {made} is created; Ctrl-C ends it and fetches what was caught")
        with _kept(api, made, remove):
            ended = follow(api, made, created, ending, HeldCapture(api, made, created))
    with _kept(api, made, remove):
        finish(api, made, ended, output or f"{made.name}.pcapng", split, remove=remove is not False)


@contextlib.contextmanager
def _kept(api: CaptureApi, name: CaptureName, remove: bool | None) -> Iterator[None]:
    """Say what becomes of the object if this fails."""
    try:
        yield
    except (SpecError, TargetError):  # it was rejected, or caught nothing: there is nothing to keep
        api.delete(name)
        raise
    except (BicapError, KeyboardInterrupt):
        if remove:
            api.delete(name)
        else:
            again = str(name) if name.namespace else f"--cluster {name}"
            tell(f"{name} is kept; kubectl bicap fetch {again} goes on, kubectl bicap rm {again} deletes it")
        raise


def finish(api: CaptureApi, name: CaptureName, ended: CaptureObject, output: str, split: bool, remove: bool) -> None:
    """Fetch a capture that has ended; `remove` it if everything is here. Raises PartialError if not."""
    found = retrieve(api.kubectl, name, ended, output, split)
    tell(report(found, ended.status, output))
    for one in found.missing:
        tell(f"warning: not here: {one}")
    if found.missing:
        raise PartialError(f"{output} is a part of {name}: {len(found.missing)} of its files or nodes are missing")
    if remove:
        api.delete(name)


def _object(request: CaptureRequest, name: CaptureName, generate: bool) -> dict[str, Any]:
    key = "generateName" if generate else "name"
    metadata = {key: name.name} | ({"namespace": name.namespace} if name.namespace else {})
    return {"apiVersion": "bicap.io/v1alpha1", "kind": request.kind, "metadata": metadata, "spec": request.spec}
