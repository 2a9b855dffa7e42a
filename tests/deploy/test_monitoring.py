"""Alert rules and dashboard, run by a real Prometheus that scrapes the pages of two real controllers."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prometheus_client import start_http_server

from capture.cluster.api import Api
from capture.cluster.controller import Controller
from capture.cluster.kinds import OWN_KINDS
from capture.cluster.kube import ObjectMetadata
from capture.cluster.metrics import registry_of
from capture.cluster.objects import (
    CaptureObject,
    CaptureReference,
    CaptureStatus,
    DirectionTraffic,
    Interruption,
    NodeCapture,
    NodeCaptureSpec,
    NodeStatus,
)
from capture.cluster.quota import Quota
from capture.cluster.view import KnownCapture
from testbed.patience import wait_until
from tests.deploy.prometheus import ALERTS, Prometheus, prometheus

DASHBOARD = ALERTS.with_name("dashboard.json")
_METRIC = re.compile(r"\bbicap_[a-z_]+")


def kubeconfig(folder: Path) -> str:
    """A cluster that nobody answers for: these controllers have what they know from the test."""
    name = {"name": "none"}
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "none",
        "clusters": [name | {"cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [name | {"user": {}}],
        "contexts": [name | {"context": {"cluster": "none", "user": "none"}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(text))
    return str(folder / "kubeconfig")


def part(node: str, packets: int) -> NodeCapture:
    """The part of shop/checkout on a node."""
    status = NodeStatus(
        node=node,
        phase="Capturing",
        forward=DirectionTraffic(packets=packets, bytes=packets * 100),
        reverse=DirectionTraffic(packets=packets, bytes=packets * 1000),
        lost=packets // 100,
        interruptions=[Interruption(begin=datetime(2026, 11, 30, tzinfo=UTC))],
    )
    capture = CaptureReference(kind="PacketCapture", name="checkout", namespace="shop", uid="1")
    spec = NodeCaptureSpec(node=node, capture=capture, document={})
    return NodeCapture(metadata=ObjectMetadata(name=f"checkout-{node}"), spec=spec, status=status)


class TwoControllers:
    """Two controllers that know the same capture, whose packets grow."""

    def __init__(self, folder: Path) -> None:
        self._controllers = [
            Controller(Api(kubeconfig(folder)), f"controller-{number}", Quota()) for number in range(2)
        ]
        metadata = ObjectMetadata(name="checkout", namespace="shop", uid="1")
        item = CaptureObject(metadata=metadata, status=CaptureStatus(phase="Capturing"))
        for controller in self._controllers:
            controller.world.captures["1"] = KnownCapture(OWN_KINDS[0], item)
        self.packets = 0
        self.grow()

    def grow(self) -> None:
        """Let a hundred packets of each direction be written on both nodes, and one be lost."""
        self.packets += 100
        for controller in self._controllers:
            controller.world.parts["1"] = {node: part(node, self.packets) for node in ("n1", "n2")}

    def serve(self) -> Iterator[int]:
        """Serve the pages of both; yield their ports."""
        for controller in self._controllers:
            server, _ = start_http_server(0, addr="127.0.0.1", registry=registry_of(controller))
            yield server.server_port


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> TwoControllers:
    return TwoControllers(tmp_path_factory.mktemp("controllers"))


@pytest.fixture(scope="module")
def running(cluster: TwoControllers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    ended = threading.Event()

    def keep_growing() -> None:
        while not ended.wait(0.5):
            cluster.grow()

    growing = threading.Thread(target=keep_growing)
    growing.start()
    try:
        with prometheus(tmp_path_factory.mktemp("prometheus"), [*cluster.serve()]) as running:
            yield running
    finally:
        ended.set()
        growing.join()


def panels() -> list[tuple[str, str]]:
    """Title and query of each panel with all namespaces chosen."""
    found = json.loads(DASHBOARD.read_text())["panels"]
    return [
        (panel["title"], target["expr"].replace("$namespace", ".*")) for panel in found for target in panel["targets"]
    ]


ALERT_RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(("title", "query"), panels(), ids=[title for title, _ in panels()])
def test_a_query_of_the_dashboard_has_an_answer(running: Prometheus, title: str, query: str) -> None:
    wait_until(lambda: bool(running.query(query)), lambda: f"{title}: {query}")


def test_two_controllers_do_not_count_twice(running: Prometheus, cluster: TwoControllers) -> None:
    queries = dict(panels())
    (stored,) = running.query(queries["Namespaces that capture most"])
    assert stored["metric"] == {"namespace": "shop"}
    assert 0 < float(stored["value"][1]) <= cluster.packets * 1100 * 2
    assert [float(one["value"][1]) for one in running.query(queries["Running captures"])] == [1.0]


def test_the_share_of_lost_packets_is_that_of_the_account(running: Prometheus) -> None:
    query = dict(panels())["Share of packets lost"]
    wait_until(lambda: bool(running.query(query)), lambda: query)
    (share,) = running.query(query)
    assert 0.003 < float(share["value"][1]) < 0.007  # of 201 packets, one


def test_every_rule_is_evaluated(running: Prometheus) -> None:
    wait_until(lambda: all(rule["health"] != "unknown" for rule in running.rules()), lambda: str(running.rules()))
    assert {rule["name"]: rule["health"] for rule in running.rules()} == {rule["alert"]: "ok" for rule in ALERT_RULES}


def test_queries_name_metrics_that_the_controller_has(running: Prometheus) -> None:
    queries = [query for _, query in panels()] + [rule["expr"] for rule in ALERT_RULES]
    asked = {name for query in queries for name in _METRIC.findall(query)}
    there = {one["metric"]["__name__"] for one in running.query('{__name__=~"bicap_.*"}')}
    assert asked - there == set()


@pytest.mark.parametrize("words", [("check", "rules", str(ALERTS)), ("test", "rules", "alerts_test.yaml")])
def test_promtool_accepts(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = yaml.safe_load(Path(__file__).with_name("alerts_test.yaml").read_text())["tests"]
    checks = [check for case in cases for check in case["alert_rule_test"]]
    for rule in ALERT_RULES:
        assert {bool(check.get("exp_alerts")) for check in checks if check["alertname"] == rule["alert"]} == {
            True,
            False,
        }
