"""This tier needs packages that `make test` does without: `make test-lake` installs them and sets BICAP_LAKE=1."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lake.node_captures import two_nodes

if TYPE_CHECKING:
    from testbed.seaweedfs import Bucket

collect_ignore_glob = [] if os.environ.get("BICAP_LAKE") == "1" else ["test_*.py"]


@pytest.fixture(scope="session")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the captures of two nodes that saw the same conversations."""
    return two_nodes(tmp_path_factory.mktemp("captures"))


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Bucket]":
    """A bucket of a real S3."""
    from testbed.seaweedfs import s3

    with s3(tmp_path_factory.mktemp("store")) as made:
        yield made
