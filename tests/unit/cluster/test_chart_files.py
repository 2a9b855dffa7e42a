"""The chart in deploy/helm is made from the manifests that there are now."""

from scripts import gen_helm


def test_the_chart_is_current() -> None:
    made = gen_helm.chart()
    found = {path: path.read_text() for path in gen_helm.CHART.rglob("*") if path.is_file()}
    assert found == made, "deploy/helm is not current: run make docs"
