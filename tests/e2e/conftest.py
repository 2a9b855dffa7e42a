"""What end-to-end tests stand on: two "pods" on a node of their own."""

from collections.abc import Iterator

import pytest

from tests.e2e.pods import Node, Pod, run, two_pods

__all__ = ["Node", "Pod", "run"]


@pytest.fixture
def node(unique: str) -> Iterator[Node]:
    """A node with the pods client and server, who know each other's MAC addresses."""
    with two_pods(f"bicap-{unique}") as node:
        yield node
