"""The kinds of objects that ask for a capture -> their documents, and their form of a status."""

from typing import Any, Protocol

from capture.cluster.admission import admitted
from capture.cluster.api import CLUSTER_PACKET_CAPTURES, PACKET_CAPTURES, Resource
from capture.cluster.kube import plain
from capture.cluster.objects import CaptureObject, CaptureReference, CaptureStatus
from capture.request.document import Document


class CaptureKind(Protocol):
    """One kind of objects."""

    resource: Resource[Any]
    optional: bool
    """True if a cluster may do without."""

    def document(self, item: Any) -> Document:
        """Return what an object asks for. Raises SpecError."""

    def status(self, item: Any) -> CaptureStatus:
        """Return the status of an object, as far as it holds one."""

    def written(self, item: Any, status: CaptureStatus) -> Any:
        """Return a status in the form of this kind."""


class OwnKind:
    """PacketCapture and ClusterPacketCapture."""

    optional = False

    def __init__(self, resource: Resource[CaptureObject]) -> None:
        self.resource = resource

    def document(self, item: CaptureObject) -> Document:
        """See CaptureKind."""
        return admitted(self.resource.kind, item.metadata.name, item.metadata.namespace, item.spec)

    def status(self, item: CaptureObject) -> CaptureStatus:
        """See CaptureKind."""
        return item.status

    def written(self, item: Any, status: CaptureStatus) -> Any:
        """See CaptureKind."""
        return plain(status)


OWN_KINDS: tuple[CaptureKind, ...] = (OwnKind(PACKET_CAPTURES), OwnKind(CLUSTER_PACKET_CAPTURES))


def reference(kind: CaptureKind, item: CaptureObject) -> CaptureReference:
    """Return the reference that a NodeCapture has to its capture."""
    return CaptureReference(kind.resource.full_kind, item.metadata.name, item.metadata.namespace, item.metadata.uid)
