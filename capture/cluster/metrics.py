"""What the controller knows -> metrics for Prometheus, when they are asked for.

Series of a capture end with its object, so their number is bounded by the captures that exist.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from capture.cluster.controller import Controller
from capture.cluster.objects import ENDED, NodeCapture

_OF_CAPTURE = ("namespace", "capture", "node")


class ClusterCollector(Collector):
    """Reads all numbers from the objects, so a controller that has just started knows them as well."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        world = self._controller.world
        build = GaugeMetricFamily("bicap_build_info", "Version of the controller.", labels=["version"])
        build.add_metric([version("bicap")], 1)
        yield build
        yield GaugeMetricFamily("bicap_leader", "1 if this controller leads.", value=int(self._controller.leads))
        yield GaugeMetricFamily("bicap_agents", "Agents that are alive.", value=len(world.alive))
        phases = Counter(known.kind.status(known.item).phase or "New" for known in list(world.captures.values()))
        captures = GaugeMetricFamily("bicap_captures", "Captures, by phase.", labels=["phase"])
        for phase, count in sorted(phases.items()):
            captures.add_metric([phase], count)
        yield captures
        stale = sum(informer.trouble is not None for informer in world.informers)
        yield GaugeMetricFamily("bicap_watches_broken", "Watches of the API server that do not work.", value=stale)
        yield from _of_parts([part for parts in list(world.parts.values()) for part in list(parts.values())])


def _of_parts(parts: list[NodeCapture]) -> Iterator[Metric]:
    packets = CounterMetricFamily(
        "bicap_capture_packets",
        "Packets that matched, by what became of them.",
        labels=[*_OF_CAPTURE, "direction", "fate"],
    )
    size = CounterMetricFamily("bicap_capture_bytes", "Bytes in files.", labels=[*_OF_CAPTURE, "direction"])
    gaps = CounterMetricFamily("bicap_capture_interruptions", "Times without capturing.", labels=_OF_CAPTURE)
    running = GaugeMetricFamily("bicap_node_captures", "Parts of captures that have not ended.", labels=["node"])
    on_node: Counter[str] = Counter()
    for part in parts:
        status, capture = part.status, part.spec.capture
        labels = [capture.namespace, capture.name, part.spec.node]
        on_node[part.spec.node] += status.phase not in ENDED
        for direction, traffic in (("forward", status.forward), ("reverse", status.reverse)):
            packets.add_metric([*labels, direction, "written"], traffic.packets)
            size.add_metric([*labels, direction], traffic.bytes)
        for fate, count in (
            ("unaccounted", status.unaccounted),
            ("sampled_out", status.sampled_out),
            ("over_limit", status.over_limit),
            ("lost", status.lost),
        ):
            packets.add_metric([*labels, "both", fate], count)
        gaps.add_metric(labels, len(status.interruptions))
    for node, count in sorted(on_node.items()):
        running.add_metric([node], count)
    yield from (packets, size, gaps, running)


def registry_of(controller: Controller) -> CollectorRegistry:
    """Return what the page of a controller shows."""
    registry = CollectorRegistry()
    registry.register(ClusterCollector(controller))
    return registry


def serve_metrics(controller: Controller, port: int) -> None:
    """Serve the metrics on a port, by a thread."""
    start_http_server(port, registry=registry_of(controller))
