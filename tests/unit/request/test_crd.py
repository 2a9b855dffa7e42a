"""The CRD and the page of fields are current, and Kubernetes accepts the CRD."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from capture.cluster.crds import definitions
from capture.request.crd import schema
from scripts import gen_crd
from tests.unit.request.asked import read_file

EXAMPLES = sorted((gen_crd.ROOT / "examples").glob("*.yaml"))


def test_the_crds_are_current() -> None:
    found = {path: path.read_text() for path in gen_crd.CRDS.glob("*.yaml")}
    assert found == gen_crd.crds(), "deploy/crds is not current: run make docs"


def test_the_rules_are_current() -> None:
    found = {path: path.read_text() for path in gen_crd.RULES.glob("*.yaml")}
    assert found == gen_crd.rules(), "deploy/rules is not current: run make docs"


def test_the_page_is_current() -> None:
    assert gen_crd.PAGE.read_text() == gen_crd.page(), "docs/packetcapture.md is not current: run make docs"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_page_shows_the_example(path: Any) -> None:
    assert f"```yaml\n{path.read_text()}```\n" in gen_crd.PAGE.read_text()


def nodes(node: dict[str, Any], path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema, with its place."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key], f"{path}.{key}")


# Of apiextensions.k8s.io/v1 JSONSchemaProps; without a structural schema's forbidden $ref, definitions, dependencies,
# deprecated, discriminator, id, patternProperties, readOnly, writeOnly, xml and uniqueItems.
KEYS = {
    "type", "description", "properties", "required", "items", "additionalProperties", "enum", "default", "format",
    "minimum", "maximum", "minLength", "maxLength", "x-kubernetes-int-or-string", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys", "x-kubernetes-preserve-unknown-fields", "maxItems", "pattern",
}  # fmt: skip
TYPES = {"string": str, "integer": int, "boolean": bool}


NODES = [
    node
    for kind, definition in definitions().items()
    for node in nodes(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], kind)
]


@pytest.mark.parametrize(("path", "node"), NODES, ids=[path for path, _ in NODES])
def test_the_schema_is_structural(path: str, node: dict[str, Any]) -> None:
    assert node.keys() <= KEYS
    assert ("type" in node) is not node.get("x-kubernetes-int-or-string", False)
    assert not ("properties" in node and "additionalProperties" in node)
    assert (node.get("type") == "array") is ("items" in node)
    assert set(node.get("required", ())) <= set(node.get("properties", ()))
    assert all(isinstance(word, str) for word in node.get("enum", ()))
    assert all(abs(node.get(limit, 0)) < 2**53 for limit in ("minimum", "maximum")), "as floating-point numbers"
    if "default" in node:
        kind = TYPES.get(node.get("type", ""), object)
        assert isinstance(node["default"], kind)
        assert "enum" not in node or node["default"] in node["enum"]


def test_every_field_has_a_description() -> None:
    spec = schema()["properties"]["spec"]
    silent = [path for path, node in nodes(spec, "spec") if "description" not in node]
    assert [path for path in silent if not path.endswith((".items", ".additionalProperties"))] == []


def fitting(node: dict[str, Any], value: Any) -> bool:
    """Return True if a value fits a structural schema; only types and names of fields are compared."""
    match value:
        case dict() if "additionalProperties" in node:
            return all(fitting(node["additionalProperties"], inner) for inner in value.values())
        case dict():
            return value.keys() <= node["properties"].keys() and all(
                fitting(node["properties"][name], inner) for name, inner in value.items()
            )
        case list():
            return all(fitting(node["items"], inner) for inner in value)
        case int() if "x-kubernetes-int-or-string" in node and not isinstance(value, bool):
            return True
        case str() if "x-kubernetes-int-or-string" in node:
            return True
    return isinstance(value, TYPES[node["type"]]) and ("enum" not in node or value in node["enum"])


def test_the_example_fits_the_crd() -> None:
    path = gen_crd.ROOT / "examples" / "packetcapture.yaml"
    spec = schema()["properties"]["spec"]
    example = msgspec.yaml.decode(path.read_bytes())
    assert fitting(spec, example["spec"])
    assert not fitting(spec, example["spec"] | {"pods": []})
    assert not fitting(spec, example["spec"] | {"inner": "true"})
    assert read_file(str(path)).rules
