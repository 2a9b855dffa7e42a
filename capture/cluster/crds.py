"""The structs of all objects -> their CustomResourceDefinitions, for deploy/crds."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from capture.cluster.admission import MOST_EXPRESSIONS, MOST_ITEMS
from capture.cluster.objects import (
    CaptureAccess,
    CaptureAccessSpec,
    CaptureStatus,
    NodeCapture,
    NodeCaptureSpec,
    NodeStatus,
    StoreSpec,
)
from capture.cluster.validations import validations
from capture.request.crd import definition, schema, schema_of
from capture.request.own import CLUSTER_KIND, KIND

_RULES = "x-kubernetes-validations"
_LIST_KEYS = {"conditions": "type", "nodes": "node"}
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_CAPTURE_COLUMNS = (
    ("Phase", "string", ".status.phase", 0),
    ("Nodes", "string", ".status.nodeSummary", 0),
    ("Packets", "integer", ".status.packets", 0),
    ("Lost", "integer", ".status.lost", 0),
    ("Incidents", "integer", ".status.recorder.incidentCount", 0),
    ("Uploaded", "string", '.status.conditions[?(@.type=="Uploaded")].status', 1),
    ("Reason", "string", '.status.conditions[?(@.type=="Complete")].reason', 1),
    ("Message", "string", '.status.conditions[?(@.type=="Complete")].message', 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
_STORE_COLUMNS = (
    ("URL", "string", ".spec.url", 0),
    ("Secret", "string", ".spec.secretRef.name", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
_NODE_COLUMNS = (
    ("Node", "string", ".spec.node", 0),
    ("Capture", "string", ".spec.capture.name", 0),
    ("Phase", "string", ".status.phase", 0),
    ("Reason", "string", ".status.reason", 0),
    ("Packets", "integer", ".status.packets", 0),
    ("Lost", "integer", ".status.lost", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
_ACCESS_COLUMNS = (
    ("Kind", "string", ".spec.capture.kind", 0),
    ("Capture", "string", ".spec.capture.name", 0),
    ("Expires", "string", ".spec.expires", 0),
)


def definitions() -> dict[str, dict[str, Any]]:
    """Return the CustomResourceDefinitions, by the name of their kind."""
    internal = _object(spec=_internal_spec(), status=_status(NodeStatus))
    access = _object(spec=schema_of(CaptureAccessSpec))
    return {
        KIND: definition(KIND, "Namespaced", _capture(KIND), ["bpcap"], _CAPTURE_COLUMNS),
        CLUSTER_KIND: definition(CLUSTER_KIND, "Cluster", _capture(CLUSTER_KIND), ["bcpcap"], _CAPTURE_COLUMNS),
        NodeCapture.__name__: definition(NodeCapture.__name__, "Namespaced", internal, ["bncap"], _NODE_COLUMNS),
        "CaptureStore": definition("CaptureStore", "Namespaced", _object(spec=_store()), ["bcstore"], _STORE_COLUMNS),
        CaptureAccess.__name__: definition(
            CaptureAccess.__name__, "Namespaced", access, ["bcacc"], _ACCESS_COLUMNS, plural="captureaccesses"
        ),
    }


def _store() -> dict[str, Any]:
    found = _without_defaults(schema_of(StoreSpec))
    found["properties"]["url"] |= {"minLength": 1}
    return found


def _object(**parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with these parts."""
    words = {name: {"type": "string"} for name in ("apiVersion", "kind")}
    return {"type": "object", "required": ["spec"], "properties": {**words, "metadata": {"type": "object"}, **parts}}


def _capture(kind: str) -> dict[str, Any]:
    whole = schema()
    whole["properties"]["status"] = _status(CaptureStatus)
    spec = whole["properties"]["spec"]
    for path, most in MOST_ITEMS.items():
        _at(spec, path)["maxItems"] = most
    _at(spec, ("target", "selector", "matchExpressions"))["maxItems"] = MOST_EXPRESSIONS
    return whole


def ruled(found: dict[str, Any]) -> dict[str, Any]:
    """Return the definition of a kind with its CEL rules, which kubectl refuses for servers before 1.25."""
    found = copy.deepcopy(found)
    for validation in validations(found["spec"]["names"]["kind"]):
        node = _at(found["spec"]["versions"][0]["schema"]["openAPIV3Schema"], validation.path.split("."))
        node.setdefault(_RULES, []).append({"rule": validation.rule, "message": validation.message})
    return found


def rule_patch(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the same rules as a JSON patch of the definition."""
    schema_of_kind = ruled(found)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return [*_patches(schema_of_kind, "/spec/versions/0/schema/openAPIV3Schema")]


def _patches(node: dict[str, Any], pointer: str) -> Iterator[dict[str, Any]]:
    if _RULES in node:
        yield {"op": "add", "path": f"{pointer}/{_RULES}", "value": node[_RULES]}
    for name, child in node.get("properties", {}).items():
        yield from _patches(child, f"{pointer}/properties/{name}")
    if "items" in node:
        yield from _patches(node["items"], f"{pointer}/items")


def _at(node: dict[str, Any], path: Iterable[str]) -> dict[str, Any]:
    """Return the schema at a path of fields; [] after a name is an item of the list."""
    for name in path:
        node = node["properties"][name.removesuffix("[]")]
        if name.endswith("[]"):
            node = node["items"]
    return node


def _internal_spec() -> dict[str, Any]:
    found = _without_defaults(schema_of(NodeCaptureSpec))
    # Written by the controller alone, from a document that it has checked.
    found["properties"]["document"] |= _ANYTHING
    found["properties"]["pods"]["items"]["properties"]["labels"] = _ANYTHING
    return found


def _status(struct: type[Any]) -> dict[str, Any]:
    found = _without_defaults(schema_of(struct))
    for name, key in _LIST_KEYS.items():
        if name in found["properties"]:
            found["properties"][name] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
            items = found["properties"][name]["items"]
            items["required"] = sorted({*items.get("required", ()), key})
    return found


def _without_defaults(node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which nothing is filled in: what nobody wrote is not known."""
    plain = {key: value for key, value in node.items() if key != "default"}
    if "properties" in plain:
        plain["properties"] = {name: _without_defaults(child) for name, child in plain["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(plain.get(key), dict):
            plain[key] = _without_defaults(plain[key])
    return plain
