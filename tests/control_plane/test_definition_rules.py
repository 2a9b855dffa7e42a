"""The definitions as the chart installs them, on a server that runs their rules: 1.25, the first that does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from capture.request.own import KIND
from scripts.gen_helm import CHART
from tests.control_plane.definitions_server import DefinitionsServer
from tests.control_plane.two_tenants import TwoTenants
from tests.unit.cluster.test_validations import BROKEN, SPECS, by_admission, by_rules


@pytest.fixture(scope="module")
def server(tenants: TwoTenants, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DefinitionsServer]:
    """A server with all definitions; it takes them only if no rule may cost too much."""
    server = DefinitionsServer(tenants.plane, tmp_path_factory.mktemp("definitions") / "certificates")
    server.define([yaml.safe_load(path.read_text()) for path in sorted((CHART / "crds").glob("*.yaml"))])
    yield server
    server.close()


def verdict(server: DefinitionsServer, kind: str, spec: Any) -> tuple[int, str]:
    return server.trial(kind, "shop" if kind == KIND else "", spec)


@pytest.mark.parametrize(("kinds", "spec", "said"), BROKEN, ids=[str(spec) for _, spec, _ in BROKEN])
def test_a_wrong_object_is_refused_with_the_reason(
    server: DefinitionsServer, kinds: tuple[str, ...], spec: Any, said: str
) -> None:
    for kind in kinds:
        code, message = verdict(server, kind, spec)
        assert code == 422
        assert said in message


def test_the_server_agrees_with_admission_on_objects_of_all_kinds(server: DefinitionsServer) -> None:
    differing, accepted = [], 0
    for spec in SPECS:
        for kind in ("PacketCapture", "ClusterPacketCapture"):
            code, message = verdict(server, kind, spec)
            assert code in (201, 422), message
            accepted += code == 201
            if (code == 201) != (by_admission(kind, spec) is None):
                differing.append((kind, spec, message, by_rules(kind, spec)))
    assert differing == []
    assert accepted > 60


@pytest.mark.parametrize(
    "example", sorted((Path(__file__).parents[2] / "examples" / "cluster").glob("*.yaml")), ids=str
)
def test_an_example_is_accepted(server: DefinitionsServer, example: Path) -> None:
    found = yaml.safe_load(example.read_text())
    code, message = verdict(server, found["kind"], found["spec"])
    assert code == 201, message
