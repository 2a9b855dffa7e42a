"""The document that says which files a capture has, as agents, the controller and those who fetch know it."""

from datetime import datetime
from typing import Annotated

from capture.cluster.kube import KubeStruct
from capture.request.kubernetes import says


class ListedFile(KubeStruct):
    """A file of a capture on its node."""

    name: Annotated[str, says("Name of the file.")]
    bytes: Annotated[int, says("Its size now.")] = 0
    sha256: Annotated[str | None, says("SHA-256 of it, once it is complete and known.")] = None
    complete: Annotated[bool, says("True if it does not grow any more.")] = False
    first: Annotated[datetime | None, says("When the file begins.")] = None
    last: Annotated[datetime | None, says("When the file ends.")] = None


class ListedNode(KubeStruct):
    """A node of a capture, with all of its files."""

    node: Annotated[str, says("The node.")]
    phase: Annotated[str, says("Phase of the capture there.")] = ""
    reason: Annotated[str, says("Why it is in this phase, in one word.")] = ""
    message: Annotated[str, says("The same for people.")] = ""
    reachable: Annotated[bool, says("False if its agent does not answer: files are then those of the status.")] = True
    unreachable: Annotated[str, says("Why it does not answer.")] = ""
    files: list[ListedFile] = []


class ListedCapture(KubeStruct):
    """The capture."""

    kind: Annotated[str, says("PacketCapture or ClusterPacketCapture.")]
    name: str
    namespace: str = ""
    uid: str = ""


class CaptureListing(KubeStruct):
    """What there is of a capture."""

    capture: ListedCapture
    nodes: list[ListedNode] = []
