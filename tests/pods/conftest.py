"""One node for all tests of the tier; each test removes the pods that it made."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pods.containerd_node import ContainerdNode, RealPod


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerdNode]:
    """A node with a bridge."""
    with ContainerdNode(f"n{uuid.uuid4().hex[:6]}", tmp_path_factory.mktemp("node") / "cri") as found:
        yield found


class Pods:
    """Makes pods of a node, and removes them."""

    def __init__(self, node: ContainerdNode) -> None:
        self.node = node

    def __call__(self, namespace: str, name: str, host_network: bool = False, **labels: str) -> RealPod:
        return self.node.run(namespace, name, labels, host_network=host_network)

    def remove(self, pod: RealPod) -> None:
        self.node.remove(pod)


@pytest.fixture
def pods(node: ContainerdNode) -> Iterator[Pods]:
    """Makes pods on the shared node, and leaves none there."""
    yield Pods(node)
    node.remove_all()


@pytest.fixture
def make_node(tmp_path: Path, unique: str) -> Iterator[Callable[..., ContainerdNode]]:
    """Makes further nodes, each with its own subnet."""
    with contextlib.ExitStack() as stack:

        def make(second: str | None = None) -> ContainerdNode:
            number = len(made) + 1
            made.append(number)
            folder = tmp_path / f"node{number}"
            return stack.enter_context(ContainerdNode(f"m{number}{unique}", folder, f"10.21{number}.0", second))

        made: list[int] = []
        yield make
