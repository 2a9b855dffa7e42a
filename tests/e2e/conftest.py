"""Fixture of end-to-end tests: two "pods" on a node of their own."""

from collections.abc import Iterator

import pytest

from testbed.two_pods import PlainNode, two_pods


@pytest.fixture
def node(unique: str) -> Iterator[PlainNode]:
    """A node with the pods client and server, who know each other's MAC addresses."""
    with two_pods(f"bicap-{unique}") as node:
        yield node
