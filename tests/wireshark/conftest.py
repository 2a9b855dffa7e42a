"""This tier needs Wireshark and a display for it: `make test-wireshark` installs both and sets BICAP_WIRESHARK=1."""

import os
from collections.abc import Iterator

import pytest

from testbed.two_pods import PlainNode, two_pods

collect_ignore_glob = [] if os.environ.get("BICAP_WIRESHARK") == "1" else ["test_*.py"]


@pytest.fixture(scope="module")
def wireshark_node() -> Iterator[PlainNode]:
    """A node with the pods client and server."""
    with two_pods(f"bicap-ws{os.getpid()}") as node:
        yield node
