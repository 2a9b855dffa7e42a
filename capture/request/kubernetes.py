"""Parts that all PacketCapture objects share: metadata, references to pods, and words in Kubernetes' style."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from capture.filters.podname import DEFAULT_NAMESPACE, PodName, parse_pod_name
from capture.selection.selection import PodEnd
from capture.wire.direction import Direction

NonEmpty = Annotated[str, Meta(min_length=1)]
FamilyWord = Literal["IPv4", "IPv6"]
DirectionWord = Literal["Both", "SourceToDestination", "DestinationToSource"]
PointWord = Literal["Source", "Destination", "Both"]

DIRECTIONS: dict[DirectionWord, Direction] = {
    "Both": Direction.BOTH,
    "SourceToDestination": Direction.FORWARD,
    "DestinationToSource": Direction.REVERSE,
}
FAMILIES: dict[int, FamilyWord] = {4: "IPv4", 6: "IPv6"}
POINTS: dict[PointWord, PodEnd] = {"Source": PodEnd.SOURCE, "Destination": PodEnd.DESTINATION, "Both": PodEnd.BOTH}


def says(text: str) -> Meta:
    """Return the description of a field as metadata of its type."""
    return Meta(description=text)


class Metadata(msgspec.Struct, rename="camel", kw_only=True):
    """The fields of Kubernetes' ObjectMeta that have a meaning here; others are ignored."""

    name: NonEmpty
    namespace: NonEmpty = DEFAULT_NAMESPACE


class PodReference(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel", kw_only=True
):
    """A pod by its name."""

    name: Annotated[NonEmpty, says("Name of the pod.")]
    namespace: Annotated[NonEmpty | None, says("Namespace of the pod. Default: that of the object.")] = None

    def pod(self, where: str, namespace: str) -> PodName:
        """Return the pod's name; `namespace` is the default one. Raises SpecError that begins with `where`."""
        return parse_pod_name(f"{self.namespace or namespace}/{self.name}", where)
