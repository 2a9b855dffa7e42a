"""The declaration of our PacketCapture -> the CustomResourceDefinition, and a table of its fields for people.

Kubernetes accepts structural schemas only: no references, one type per value, no null.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from capture.request.document import Document
from capture.request.fields import Field, fields
from capture.request.own import GROUP, VERSION, PacketCapture

_INT_OR_STRING = "x-kubernetes-int-or-string"
_EXACT_MAX = 2**53 - 1
"""Largest limit: the API server compares limits as floating-point numbers, which are exact up to here."""
_DROPPED = ("title", "additionalProperties", "anyOf", "$ref", "default")


def definition(
    kind: str,
    scope: str,
    whole: dict[str, Any],
    short_names: Sequence[str],
    columns: Iterable[tuple[str, str, str, int]],
    plural: str = "",
) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind; `columns` are name, type, path and priority for kubectl."""
    plural = plural or f"{kind.lower()}s"
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": whole},
        **({"subresources": {"status": {}}} if "status" in whole["properties"] else {}),
        "additionalPrinterColumns": [
            {"name": name, "type": type_, "jsonPath": path, "priority": priority}
            for name, type_, path, priority in columns
        ],
    }
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": list(short_names),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": scope, "names": names, "versions": [version]},
    }


def schema_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the structural OpenAPI v3 schema of a struct."""
    (root,), definitions = msgspec.json.schema_components([struct], ref_template="{name}")
    return _structural(root, definitions)


def schema() -> dict[str, Any]:
    """Return the structural OpenAPI v3 schema of the object."""
    whole = schema_of(PacketCapture)
    # The API server has its own schema for these, and a status is not written here.
    whole["properties"] |= {name: {"type": "string"} for name in ("apiVersion", "kind")}
    whole["properties"]["metadata"] = {"type": "object"}
    del whole["properties"]["status"]
    for field in fields(Document):
        _declare(field, whole["properties"]["spec"])
    return whole


def _declare(field: Field, node: dict[str, Any]) -> None:
    """Add the default of a field, or remove a field that the object does not have: msgspec knows neither."""
    *parents, name = field.json_path
    for parent in parents:
        node = node["properties"][parent]
    properties = node["properties"]
    if field.declared.refused:
        del properties[name]
    elif field.declared.default is not None:
        help_first = {"description": field.help} | properties[name]
        properties[name] = help_first | {"default": field.declared.default}


def _structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a node without references and null, with one type."""
    plain = {key: value for key, value in node.items() if key not in _DROPPED}
    if "$ref" in node:
        return _structural(definitions[node["$ref"]], definitions) | plain
    ways = [way for way in node.get("anyOf", []) if way != {"type": "null"}]
    if len(ways) == 1:
        return _structural(ways[0], definitions) | plain
    if ways:
        assert {way["type"] for way in ways} == {"integer", "string"}, f"Kubernetes has no type for {ways}"
        plain[_INT_OR_STRING] = True
    if "maximum" in plain:
        plain["maximum"] = min(plain["maximum"], _EXACT_MAX)
    if "enum" in plain:
        plain = {"type": "string"} | plain
    if node.get("default") not in (None, [], {}):
        plain["default"] = node["default"]
    if "properties" in plain:
        plain["properties"] = {name: _structural(child, definitions) for name, child in plain["properties"].items()}
        if not plain["required"]:
            del plain["required"]
    elif isinstance(node.get("additionalProperties"), dict):
        plain["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "items" in plain:
        plain["items"] = _structural(plain["items"], definitions)
    return plain


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Return path, type, default and meaning of each field, in Markdown; the type of a required field is bold."""
    yield from _rows(schema()["properties"]["spec"], "spec")


def _rows(node: dict[str, Any], path: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in node.get("properties", {}).items():
        here, kind = f"{path}.{name}", _type(field)
        default = f"`{field['default']}`" if "default" in field else ""
        default = default.replace("True", "true").replace("False", "false")
        yield here, f"**{kind}**" if name in node.get("required", ()) else kind, default, field.get("description", "")
        yield from _rows(field, here)
        yield from _rows(field.get("items", {}), f"{here}[]")


def _type(field: dict[str, Any]) -> str:
    if _INT_OR_STRING in field:
        return "integer or string"
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    if field["type"] == "object" and "additionalProperties" in field:
        return f"map to {_type(field['additionalProperties'])}"
    least, most = field.get("minimum"), field.get("maximum")
    if least is not None:
        return f"integer, {least} to {most:,}" if most is not None else f"integer, from {least}"
    return "time (RFC 3339)" if field.get("format") == "date-time" else str(field["type"])
