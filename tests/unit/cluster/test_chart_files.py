"""The chart in deploy/helm is made from the manifests that there are now."""

from scripts import gen_helm


def test_the_chart_is_current() -> None:
    made = gen_helm.chart()
    found = {path: path.read_text() for path in gen_helm.CHART.rglob("*") if path.is_file() and not path.is_symlink()}
    assert found == made, "deploy/helm is not current: run make docs"


def test_its_definitions_are_those_of_deploy() -> None:
    found = {path: str(path.readlink()) for path in (gen_helm.CHART / "crds").iterdir()}
    assert found == gen_helm.links(), "deploy/helm/crds is not current: run make docs"
