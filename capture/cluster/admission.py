"""A capture as a user made it -> the document that nodes may run, or the reason for which none may.

Most of the rules are in the CRDs, too (`validations.py`); here they hold on every server. A PacketCapture is
about the pods of its own namespace: whoever may make one there can see nothing of another.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from capture.errors import SpecError
from capture.request.convert import spec_of
from capture.request.document import Document, is_recorder
from capture.request.fields import Field, fields, is_recorded
from capture.request.kubernetes import PodReference
from capture.request.naming import in_object
from capture.request.own import API_VERSION, CLUSTER_KIND, KIND, PacketCapture
from capture.spec import CaptureSpec

MOST_ITEMS = {
    ("rules",): 256,
    ("sampling", "onPressure"): 3,
    ("target", "interfaces"): 64,
    ("target", "pods"): 256,
    ("triggers",): 64,
}
"""Most items of lists that rules of the CRDs walk: an API server bounds what a rule costs from these."""
MOST_EXPRESSIONS = 64
"""Most matchExpressions of a selector, likewise."""
INCIDENTS_MOST = 1000
"""Most incidents that a recorder may keep on a node: its agent reads their folder often."""
_OF_THE_NODE = re.compile(r"\s*(drop|reset-reason)\s*=")
"""Begin of a rule about the kernel's reasons. Agents read rules: a controller has nothing that knows columns."""


RECORD_EMPTY = "record is empty; give one of its fields, like before: 30s, or triggers"
NOT_OF_A_RECORDER = "it writes incidents, bounded by record"


def refusal(field: Field) -> str:
    """Return the reason why an object in a cluster cannot have a field; "" if it can."""
    return field.declared.refused_in_cluster


def is_of_a_capture_only(field: Field) -> bool:
    """True if an object can have a field as a capture, and not as a recorder."""
    refused = field.declared.refused or refusal(field)
    return not (refused or is_recorded(field) or field.path == ("store", "name"))


def admitted(kind: str, name: str, namespace: str, spec: Any) -> Document:
    """Return the document of an object's spec; its pods have their namespaces. Raises SpecError."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    found = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec or {}}
    try:
        document = msgspec.convert(found, PacketCapture).document()
    except msgspec.ValidationError as error:
        raise SpecError(str(error)) from None
    for field in fields(Document):
        # The API server fills in defaults.
        if refusal(field) and field.of(document) not in (None, [], field.declared.default):
            raise SpecError(f"{in_object(field).text}: {refusal(field)}")
        most = MOST_ITEMS.get(field.json_path)
        if most is not None and len(field.of(document)) > most:
            raise SpecError(f"{in_object(field).text} has {len(field.of(document))} items, more than {most}")
    selector = document.target.selector
    if selector is not None and len(selector.match_expressions) > MOST_EXPRESSIONS:
        raise SpecError(f"spec.target.selector.matchExpressions has more than {MOST_EXPRESSIONS} items")
    if document.conversations is not None and document.conversations.file is not None:
        raise SpecError("spec.conversations.file: a cluster has no such file; list them in spec.conversations.tuples")
    if document.store.name is not None and document.storage.files_kept is not None:
        raise SpecError(
            "spec.storage.filesKept: it would remove files that spec.store has not confirmed; leave it out"
        )
    if is_recorder(document):
        _check_recorder(document)
    elif isinstance(spec, dict) and spec.get("record") is not None:
        raise SpecError(f"spec.{RECORD_EMPTY}")
    if kind == KIND:
        document = _of_namespace(document, namespace)
    elif kind == CLUSTER_KIND:
        _check_named(document)
    return document


def _check_recorder(document: Document) -> None:
    """Raise SpecError if a recorder in a cluster cannot be what a document asks for."""
    for field in fields(Document):
        if is_of_a_capture_only(field) and field.of(document) not in (None, [], field.declared.default):
            raise SpecError(f"{in_object(field).text}: a recorder does not have it, {NOT_OF_A_RECORDER}")
    if (document.record.kept or 0) > INCIDENTS_MOST:
        raise SpecError(f"spec.record.kept {document.record.kept} is more than {INCIDENTS_MOST}")
    for number, text in enumerate(document.triggers):
        if _OF_THE_NODE.match(text):
            raise SpecError(
                f"spec.triggers[{number}] {text}: the kernel's reasons are those of the whole node; run bicap record "
                "there"
            )


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
    # The spec is made without the expression, which only libpcap can read.
    if document.expression is not None and (document.rules or document.conversations):
        raise SpecError(
            "spec.expression does not combine with rules or conversations; write them into the expression"
        )
    if document.expression is not None and document.inner:
        raise SpecError("spec.inner is for rules; an expression reaches into tunnels itself (vxlan, geneve, mpls)")
    return spec_of(msgspec.structs.replace(document, expression=None, conversations=None))
