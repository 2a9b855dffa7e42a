"""The chart, rendered by Helm, is what `kubectl apply -k` installs; each value changes what it names, and no more."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from capture.cluster.kube import SYSTEM_NAMESPACE
from scripts.gen_helm import CHART
from tests.newest_kubernetes import refusal

ROOT = Path(__file__).parents[2]
Objects = dict[tuple[str, str, str], dict[str, Any]]


def by_name(items: list[dict[str, Any]]) -> Objects:
    found = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in items if one
    }
    assert found
    return found


def kustomized(folder: str) -> Objects:
    kubectl = next(filter(None, (shutil.which("kubectl"), str(ROOT / ".venv" / "bin" / "kubectl"))))
    words = [kubectl, "kustomize", str(ROOT / "deploy" / folder)]
    return by_name([*yaml.safe_load_all(subprocess.run(words, check=True, capture_output=True, text=True).stdout)])


def rendered(values: dict[str, Any]) -> Objects:
    with helm_python.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        texts = [*chart.render(values, name="bicap", namespace=SYSTEM_NAMESPACE).values()]
        crds = [path.read_text() for path in sorted((CHART / "crds").iterdir())]
    return by_name([item for text in (*texts, *crds) for item in yaml.safe_load_all(text)])


def part_of(objects: Objects, kind: str) -> Any:
    return next(item for (found, _, _), item in objects.items() if found == kind)["spec"]["template"]["spec"]


def test_helm_finds_no_fault() -> None:
    report = helm_python.lint(str(CHART))
    assert report["errors"] == []
    assert [one["error"] for one in report["messages"]] == ["icon is recommended"]


def test_defaults_render_to_what_kustomize_makes() -> None:
    assert rendered({}) == kustomized("")


def test_antrea_renders_to_its_overlay() -> None:
    """Besides the rules of definitions, which the overlay leaves to those who add them."""
    made, wanted = rendered({"antrea": True}), kustomized("antrea")
    assert made.keys() == wanted.keys()
    assert [name for name in made if made[name] != wanted[name] and name[0] != "CustomResourceDefinition"] == []


VALUES: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"agent": {"tolerations": []}}, "DaemonSet", {"tolerations": None}),
    (
        {"agent": {"nodeSelector": {"zone": "a"}}},
        "DaemonSet",
        {"nodeSelector": {"kubernetes.io/os": "linux", "zone": "a"}},
    ),
    ({"controller": {"imagePullSecrets": [{"name": "s"}]}}, "StatefulSet", {"imagePullSecrets": [{"name": "s"}]}),
    (
        {"controller": {"tolerations": [{"operator": "Exists"}]}},
        "StatefulSet",
        {"tolerations": [{"operator": "Exists"}]},
    ),
    ({"agent": {"priorityClassName": ""}}, "DaemonSet", {"priorityClassName": None}),
]


@pytest.mark.parametrize(("values", "kind", "wanted"), VALUES, ids=[str(values) for values, _, _ in VALUES])
def test_a_value_of_a_pod(values: dict[str, Any], kind: str, wanted: dict[str, Any]) -> None:
    pod = part_of(rendered(values), kind)
    assert pod == {name: value for name, value in (part_of(rendered({}), kind) | wanted).items() if value is not None}


def test_values_of_a_container() -> None:
    image = {"repository": "registry.example/bicap", "tag": "1.0", "pullPolicy": "Always"}
    resources = {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}}
    agent = {"image": image, "resources": resources, "extraArgs": ["--disk", "20Gi"]}
    (container,) = part_of(rendered({"agent": agent}), "DaemonSet")["containers"]
    assert container["image"] == "registry.example/bicap:1.0"
    assert container["imagePullPolicy"] == "Always"
    assert container["resources"]["requests"]["cpu"] == "1"
    assert container["resources"]["limits"]["memory"] == "2Gi"
    assert container["args"][-2:] == ["--disk", "20Gi"]


def test_the_socket_of_another_runtime() -> None:
    pod = part_of(rendered({"agent": {"runtimeSocket": "/run/crio/crio.sock"}}), "DaemonSet")
    assert {volume["hostPath"]["path"] for volume in pod["volumes"] if volume["name"] == "runtime"} == {
        "/run/crio/crio.sock"
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["runtime"] == "/run/crio/crio.sock"


def test_the_namespace_may_be_there_already() -> None:
    assert rendered({}).keys() - rendered({"createNamespace": False}).keys() == {("Namespace", "", SYSTEM_NAMESPACE)}


def test_a_value_that_there_is_not_is_refused() -> None:
    with pytest.raises(helm_python.HelmError, match="tolerance"):
        rendered({"agent": {"tolerance": []}})


def test_whatever_is_set_the_objects_are_valid() -> None:
    everything = {"antrea": True, "controller": {"replicas": 3, "imagePullSecrets": [{"name": "s"}]}}
    for item in rendered(everything).values():
        assert refusal(item) == ""
