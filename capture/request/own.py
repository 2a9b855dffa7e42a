"""Our PacketCapture (bicap.io/v1alpha1) -> its document, in which each pod has its namespace."""

from typing import Any

import msgspec

from capture.errors import SpecError
from capture.request.convert import check, one_direction
from capture.request.document import Document
from capture.request.fields import fields
from capture.request.kubernetes import Metadata, PodReference
from capture.request.naming import in_object
from capture.request.parts import EndpointPart, Part, RulePart
from capture.units import parse_duration

GROUP, VERSION, KIND = "bicap.io", "v1alpha1", "PacketCapture"
CLUSTER_KIND = "ClusterPacketCapture"
"""A PacketCapture without a namespace, which may be about pods of all of them, and about interfaces of nodes."""
API_VERSION = f"{GROUP}/{VERSION}"


class PacketCapture(Part, frozen=True):
    """A capture, as `bicap capture -f` runs it."""

    api_version: str
    kind: str
    metadata: Metadata
    spec: Document
    status: Any = None  # ignored: `kubectl get -o yaml` writes it

    def document(self) -> Document:
        """Return its document. Raises SpecError with the path of what is wrong."""
        for field in fields(Document):
            if field.declared.refused and field.of(self.spec) not in (None, []):
                raise SpecError(f"{in_object(field).text}: {field.declared.refused}")
        switch = f"spec.bidirectional {str(self.spec.bidirectional).lower()}"
        spec = one_direction(self.spec, f"{switch} and spec.direction {self.spec.direction}")
        if self.kind == KIND:
            spec = _with_namespaces(spec, self.metadata.namespace)
        if spec.storage.ttl is not None:
            parse_duration(str(spec.storage.ttl), "spec.storage.ttl")
        return check(spec, in_object)


def _with_namespaces(spec: Document, namespace: str) -> Document:
    pods = [_in_namespace(pod, namespace) for pod in spec.target.pods]
    return msgspec.structs.replace(
        spec,
        target=msgspec.structs.replace(spec.target, pods=pods),
        rules=[_rule_in_namespace(rule, namespace) for rule in spec.rules],
    )


def _rule_in_namespace(rule: RulePart, namespace: str) -> RulePart:
    ends = {"source": rule.source, "destination": rule.destination}
    return msgspec.structs.replace(rule, **{name: _end_in_namespace(end, namespace) for name, end in ends.items()})


def _end_in_namespace(end: EndpointPart | None, namespace: str) -> EndpointPart | None:
    if end is None or end.pod is None:
        return end
    return msgspec.structs.replace(end, pod=_in_namespace(end.pod, namespace))


def _in_namespace(pod: PodReference, namespace: str) -> PodReference:
    return pod if pod.namespace else msgspec.structs.replace(pod, namespace=namespace)
