"""What a capture file says of its points -> node of each interface, and namespace, pod and labels of an address.

Interfaces of pods have a description that bicap writes (targets/places.py); addresses have the names of the file's
name resolution blocks, which are NAMESPACE/POD for pods. Files of other programs have neither, and then nothing is
known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from capture.pcapng.describe import Description, InterfaceDescription
from capture.wire.addresses import address

_DESCRIPTION = 3
"""Number of the option if_description."""
_POD = re.compile(r"pod (\S+)/(\S+), UID (.*?), labels (.*), node (\S+), (?:host interface|caught inside)")
_NODE = re.compile(r"\bnode ([^\s,;]+)[,;]")
_NO_LABELS, _CUT = "none", "..."


@dataclass(frozen=True, slots=True)
class PointOwner:
    """The node of an interface, and its pod with labels; "" and no labels where they are unknown."""

    node: str = ""
    pod: str = ""
    """NAMESPACE/POD."""
    labels: Mapping[str, str] | None = None


def point_of(interface: InterfaceDescription) -> PointOwner:
    """Return what the description of an interface says."""
    text = next((value for code, value in interface.options if code == _DESCRIPTION), b"").decode("utf-8", "replace")
    if found := _POD.match(text):
        namespace, name, _, labels, node = found.groups()
        return PointOwner(node, f"{namespace}/{name}", _labels(labels))
    found = _NODE.search(text)
    return PointOwner(found[1] if found else "")


def _labels(text: str) -> dict[str, str]:
    if text == _NO_LABELS:
        return {}
    pairs = text.split(",")
    if text.endswith(_CUT):
        del pairs[-1]  # it may be a part of a label only
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


class Points:
    """The points of a capture, as far as it has been read. `node` is that of interfaces which do not say theirs."""

    def __init__(self, description: Description, node: str = "") -> None:
        self._description, self._node = description, node
        self._points: list[PointOwner] = []
        self._labels: dict[str, Mapping[str, str]] = {}

    def _known(self) -> list[PointOwner]:
        for interface in self._description.interfaces[len(self._points) :]:
            point = point_of(interface)
            self._points.append(point)
            if point.labels is not None:
                self._labels[point.pod] = point.labels
        return self._points

    def interface(self, number: int) -> str:
        """Return the name of an interface, or its number if it has none."""
        known = self._description.interfaces
        return (known[number].name if number < len(known) else "") or str(number)

    def node(self, number: int) -> str:
        """Return the node of an interface, "" if it is unknown."""
        points = self._known()
        return (points[number].node if number < len(points) else "") or self._node

    @property
    def only_node(self) -> str:
        """The node of all interfaces, "" if there are several, or it is unknown."""
        nodes = {point.node or self._node for point in self._known()} or {self._node}
        return nodes.pop() if len(nodes) == 1 else ""

    def name(self, family: int, high: int, low: int) -> str:
        """Return the name of an address that is not a pod's, "" if it has none."""
        name = self._name(family, high, low)
        return "" if "/" in name else name

    def namespace(self, family: int, high: int, low: int) -> str:
        """Return the namespace of the pod that has an address, "" if none is known."""
        return self._name(family, high, low).rpartition("/")[0]

    def pod(self, family: int, high: int, low: int) -> str:
        """Return the name of the pod that has an address, "" if none is known."""
        namespace, _, name = self._name(family, high, low).rpartition("/")
        return name if namespace else ""

    def labels(self, family: int, high: int, low: int) -> list[tuple[str, str]] | None:
        """Return the labels of the pod that has an address, if the file has an interface of that pod."""
        self._known()
        labels = self._labels.get(self._name(family, high, low))
        return None if labels is None else sorted(labels.items())

    def _name(self, family: int, high: int, low: int) -> str:
        if not family or not self._description.names:
            return ""
        return self._description.names.get(address(family, high, low), "")
