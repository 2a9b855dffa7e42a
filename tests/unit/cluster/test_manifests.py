"""Everything in deploy/ that Kubernetes gets is valid: its own objects by its newest schemas, ours by the CRDs'."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from capture.cluster.crds import definitions, ruled
from capture.request.own import API_VERSION
from tests.newest_kubernetes import refusal
from tests.unit.cluster.cel_rules import refusals, with_defaults
from tests.unit.request.test_crd import fitting

ROOT = Path(__file__).parents[3]


def objects() -> dict[str, dict[str, Any]]:
    """Every object of deploy/, and those that docs/cluster.md shows, by the file, kind and name."""
    texts = {
        str(path.relative_to(ROOT)): path.read_text()
        for path in sorted((ROOT / "deploy").rglob("*.yaml"))
        # Templates of the chart are compared with these objects, by another test; krew's manifest is for krew.
        if not {"helm", "krew"} & {*path.parts} and path.name != "kustomization.yaml"
    }
    page = (ROOT / "docs" / "cluster.md").read_text()
    texts["docs/cluster.md"] = "\n---\n".join(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    found = {}
    for name, text in texts.items():
        for item in yaml.load_all(text, yaml.CSafeLoader):
            if isinstance(item, dict) and "apiVersion" in item:
                found[f"{name} {item['kind']} {item['metadata']['name']}"] = item
    return found


OBJECTS = objects()
OURS = {name: item for name, item in OBJECTS.items() if item["apiVersion"] == API_VERSION}
OF_KUBERNETES = {name: item for name, item in OBJECTS.items() if name not in OURS}


@pytest.mark.slow
@pytest.mark.parametrize("item", OF_KUBERNETES.values(), ids=OF_KUBERNETES.keys())
def test_an_object_is_valid_in_the_newest_kubernetes(item: dict[str, Any]) -> None:
    assert refusal(item) == ""


@pytest.mark.parametrize("item", OURS.values(), ids=OURS.keys())
def test_a_capture_is_valid_by_its_definition(item: dict[str, Any]) -> None:
    schema = ruled(definitions()[item["kind"]])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert fitting(schema["properties"]["spec"], item["spec"])
    assert [*refusals(schema, with_defaults(schema, item))] == []


def test_an_ephemeral_container_is_valid_and_may_what_the_sidecar_may() -> None:
    """`kubectl debug --custom` lays the file over the container that it makes."""
    custom = yaml.safe_load((ROOT / "deploy" / "ephemeral.yaml").read_text())
    sidecar = OBJECTS["deploy/sidecar.yaml Pod web"]
    container = custom | {"name": "debugger", "image": "localhost/bicap:dev", "stdin": True, "command": ["sh"]}
    pod = sidecar | {"spec": sidecar["spec"] | {"ephemeralContainers": [container]}}
    assert refusal(pod) == ""
    (capture,) = (one for one in sidecar["spec"]["containers"] if one["name"] == "capture")
    assert custom["securityContext"] == capture["securityContext"] | {"runAsNonRoot": False}


def test_a_wrong_name_is_noticed() -> None:
    agent = next(item for item in OF_KUBERNETES.values() if item["kind"] == "DaemonSet")
    wrong = agent | {"spec": agent["spec"] | {"replicas": 2}}
    assert "replicas" in refusal(wrong)


def test_all_kinds_that_are_installed_are_among_them() -> None:
    kinds = {item["kind"] for item in OF_KUBERNETES.values()}
    assert kinds >= {"CustomResourceDefinition", "DaemonSet", "StatefulSet", "ClusterRole", "NetworkPolicy", "Pod"}
    assert OURS
