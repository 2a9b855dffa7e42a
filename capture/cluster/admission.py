"""A capture as a user made it -> the document that nodes may run, or the reason for which none may.

The same rules are in the CRDs where the API server can check them; here they hold on every server. A PacketCapture is
about the pods of its own namespace: whoever may make one there can see nothing of another.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from capture.errors import SpecError
from capture.request.convert import spec_of
from capture.request.document import Document
from capture.request.fields import fields
from capture.request.kubernetes import PodReference
from capture.request.naming import in_object
from capture.request.own import API_VERSION, CLUSTER_KIND, KIND, PacketCapture
from capture.spec import CaptureSpec


def admitted(kind: str, name: str, namespace: str, spec: Any) -> Document:
    """Return the document of an object's spec; its pods have their namespaces. Raises SpecError."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    found = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec or {}}
    try:
        document = msgspec.convert(found, PacketCapture).document()
    except msgspec.ValidationError as error:
        raise SpecError(str(error)) from None
    for field in fields(Document):
        if field.declared.refused_in_cluster and field.of(document) is not None:
            raise SpecError(f"{in_object(field).text}: {field.declared.refused_in_cluster}")
    if document.conversations is not None and document.conversations.file is not None:
        raise SpecError("spec.conversations.file: a cluster has no such file; list them in spec.conversations.tuples")
    if kind == KIND:
        document = _of_namespace(document, namespace)
    elif kind == CLUSTER_KIND:
        _check_named(document)
    return document


def _of_namespace(document: Document, namespace: str) -> Document:
    """Return the document, which is about pods of this namespace only. Raises SpecError."""
    target = document.target
    for where, pod in _named(document):
        if pod.namespace not in (None, namespace):
            raise SpecError(
                f"{where}.namespace {pod.namespace}: a PacketCapture is about pods of its own namespace; name the "
                "other side by its addresses, or ask for a ClusterPacketCapture"
            )
    other = next((one for one in target.namespaces if one != namespace), None)
    if other is not None:
        raise SpecError(f"spec.target.namespaces {other}: a PacketCapture is about pods of its own namespace")
    for what, given in (("allPods", target.all_pods), ("interfaces", target.interfaces), ("netns", target.netns)):
        if given:
            raise SpecError(f"spec.target.{what}: more than pods of a namespace; ask for a ClusterPacketCapture")
    if target.selector or target.containers:
        return msgspec.structs.replace(document, target=msgspec.structs.replace(target, namespaces=[namespace]))
    return document


def _check_named(document: Document) -> None:
    for where, pod in _named(document):
        if pod.namespace is None:
            raise SpecError(f"{where}.namespace is missing: a ClusterPacketCapture has no namespace of its own")


def _named(document: Document) -> Iterator[tuple[str, PodReference]]:
    for number, pod in enumerate(document.target.pods):
        yield f"spec.target.pods[{number}]", pod
    for number, rule in enumerate(document.rules):
        for side, end in (("source", rule.source), ("destination", rule.destination)):
            if end is not None and end.pod is not None:
                yield f"spec.rules[{number}].{side}.pod", end.pod


def checked_spec(document: Document) -> CaptureSpec:
    """Return the spec of a document, without what only a node can read. Raises SpecError where a node would."""
    target = document.target
    named = any(end and end.pod for rule in document.rules for end in (rule.source, rule.destination))
    chosen = (target.pods, target.selector, target.namespaces, target.containers, target.all_pods, target.interfaces)
    if not (named or any(chosen)):
        raise SpecError("spec.target chooses no pods; give pods, a selector, or rules that name pods")
    if document.expression is not None and document.rules:
        raise SpecError("spec.rules and spec.expression do not combine; write the rules into the expression")
    return spec_of(msgspec.structs.replace(document, expression=None, conversations=None))
