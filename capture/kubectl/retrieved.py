"""A capture that has ended -> one file in order of time, or the files of its nodes in a folder.

What is fetched lies in a folder beside the output until that is whole, so that another run goes on where this one
ended.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from capture.cluster.objects import CaptureObject, CaptureStatus
from capture.errors import PartialError, TargetError
from capture.kubectl.cluster_captures import CaptureName
from capture.kubectl.fetch_right import FetchRight
from capture.kubectl.fetched_files import FetchedFile, LeftOut, bytes_here, fetch_all, wanted_files
from capture.kubectl.joined_file import JoinedFile, join
from capture.kubectl.kubectl_command import Kubectl
from capture.kubectl.on_terminal import progress_bar, tell
from capture.kubectl.port_forward import PortForward
from capture.kubectl.remote_files import RemoteFiles
from capture.pcapng.describe import SectionDescription
from capture.pcapng.joined_section import Origins
from capture.retrieval.listed_files import CaptureListing
from capture.units import format_count, format_size

SETTLE_SECONDS = 60.0
FILES_OF = ".nodes"
"""What the folder of the nodes' files has behind the output's name."""
_PCAPNG = (".pcapng", ".pcapng.zst")


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What is here now, and what is not."""

    files: tuple[FetchedFile, ...]
    missing: tuple[LeftOut, ...]
    joined: JoinedFile | None = None


def retrieve(kubectl: Kubectl, name: CaptureName, capture: CaptureObject, output: str, split: bool) -> Retrieved:
    """Fetch a capture to `output`, a file, or with `split` a folder. Raises BicapError."""
    folder = Path(output) if split else Path(output + FILES_OF)
    with PortForward(kubectl, tell) as way, FetchRight(kubectl, name) as right:
        source = RemoteFiles(way, right)
        try:
            listing = _settled(source)
            wanted = list(wanted_files(listing))
            total = sum(file.bytes for _, file in wanted)
            here = sum(bytes_here(folder, node.node, file) for node, file in wanted)
            if here:
                tell(f"{format_size(here)} of {format_size(total)} are here already")
            with progress_bar(name.name, total, here) as progress:
                files, missing = fetch_all(source, listing, folder, progress)
        finally:
            source.close()
    if split:
        return Retrieved(tuple(files), tuple(missing))
    captured = [file for file in files if file.path.name.endswith(_PCAPNG)]
    if not captured:
        if missing:
            raise PartialError(f"{name} has no file that can be fetched: {missing[0]}")
        if capture.status.recorder is not None:
            raise TargetError(f"{name} has no complete incident")
        raise TargetError(f"{name} has caught nothing: it has ended before there was a pod to capture at")
    joined = join(captured, output, header(name, capture, missing))
    if not missing:
        shutil.rmtree(folder)
    return Retrieved(tuple(files), tuple(missing), joined)


def _settled(source: RemoteFiles) -> CaptureListing:
    """Return the list when the nodes have completed their files and hashed them, or after some time as it is."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        listing = source.listing()
        ended = [node for node in listing.nodes if node.phase == "Captured"]
        waiting = [file for node in ended for file in node.files if not file.complete or file.sha256 is None]
        if not waiting or time.monotonic() > deadline:
            return listing
        time.sleep(0.5)


def header(
    name: CaptureName, capture: CaptureObject, missing: Sequence[LeftOut]
) -> Callable[[SectionDescription | None], bytes]:
    """Return what makes the header of the joined file from that of a node's file."""
    remarks = tuple(f"not in this file: {one}" for one in missing)

    def made(section: SectionDescription | None) -> bytes:
        return origins(name, capture, nodes_of(capture.status, missing), remarks).header(section)

    return made


def origins(
    name: CaptureName, capture: CaptureObject, nodes: list[dict[str, Any]], remarks: tuple[str, ...] = ()
) -> Origins:
    """Return what the header of a file of this capture says."""
    about = {"kind": name.kind, "namespace": name.namespace, "name": name.name, "uid": capture.metadata.uid}
    return Origins(
        application=f"kubectl-bicap {version('bicap')}",
        capture=about,
        nodes=nodes,
        spec=capture.spec,
        remarks=remarks,
    )


def nodes_of(status: CaptureStatus, missing: Sequence[LeftOut]) -> list[dict[str, Any]]:
    """Return what the header says of each node."""
    why = {one.node: str(one) for one in missing}
    found = []
    for node in status.nodes:
        said: dict[str, Any] = {"node": node.node, "clock": node.clock, "packets": node.packets, "lost": node.lost}
        if node.interruptions:
            said["interruptions"] = [
                {"from": _iso(gap.begin), "to": _iso(gap.end), "reason": gap.reason} for gap in node.interruptions
            ]
        if node.node in why:
            said["missing"] = why[node.node]
        found.append(said)
    return found


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def report(found: Retrieved, status: CaptureStatus, output: str) -> str:
    """Return one line about what is here."""
    nodes = len({file.node for file in found.files})
    where = format_count(nodes, "node")
    if found.joined is None:
        size = sum(file.path.stat().st_size for file in found.files)
        return f"{output}: {format_count(len(found.files), 'file')} of {where}, {format_size(size)}"
    joined = found.joined
    text = f"{output}: {format_count(joined.packets, 'packet')} of {where}, {format_size(joined.bytes)}"
    text += f", {status.lost:,} lost"
    if joined.packets != status.packets and status.recorder is None:
        text += f"; the nodes have counted {format_count(status.packets, 'packet')}"
    if joined.behind:
        text += f"; {format_count(joined.behind, 'packet')} out of order, as in the file of the node"
    return text
