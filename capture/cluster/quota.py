"""What runs already -> whether a capture may begin, or why it has to wait."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from capture.units import format_count

PER_NODE, PER_NAMESPACE = 8, 4


@dataclass(frozen=True, slots=True)
class Quota:
    """Most captures that run at a time on a node, and of a namespace."""

    per_node: int = PER_NODE
    per_namespace: int = PER_NAMESPACE

    def refusal(
        self, namespace: str, nodes: Sequence[str], running: "RunningCount", ahead: Collection[object] = ()
    ) -> str | None:
        """Return why a capture of a namespace must wait for room on nodes; `ahead` are captures that wait longer."""
        place = f"place {len(ahead) + 1} in the queue"
        count = running.of_namespace.get(namespace, 0)
        if namespace and count >= self.per_namespace:
            return f"{format_count(count, 'capture')} of namespace {namespace} run, which is the most; {place}"
        for node in nodes:
            count = running.on_node.get(node, 0)
            if count >= self.per_node:
                return f"{format_count(count, 'capture')} run on node {node}, which is the most; {place}"
        return None


@dataclass(frozen=True, slots=True)
class RunningCount:
    """Numbers of captures that have not ended."""

    of_namespace: Mapping[str, int]
    on_node: Mapping[str, int]
