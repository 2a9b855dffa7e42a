"""Real stores that a test may kill, and files that look like those of a capture."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from testbed.rclone_store import RcloneServer
    from testbed.seaweedfs import SeaweedServer
    from testbed.sftp_server import SftpServer
    from tests.store.ended_capture import EndedCapture

collect_ignore_glob = [] if os.environ.get("BICAP_STORE") == "1" else ["test_*.py"]


class KillableServer(Protocol):
    """A real store of one folder."""

    def start(self) -> None: ...

    def kill(self) -> None: ...


Server = TypeVar("Server", bound=KillableServer)


@contextmanager
def started(kind: Callable[[Path], Server], folder: Path) -> Iterator[Server]:
    """Yield a server that runs on a new folder."""
    folder.mkdir()
    server = kind(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def rclone(tmp_path: Path) -> "Iterator[RcloneServer]":
    """rclone's S3, started."""
    from testbed.rclone_store import RcloneServer

    with started(RcloneServer, tmp_path / "rclone") as server:
        yield server


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SeaweedServer]":
    """SeaweedFS, started, with signatures checked."""
    from testbed.seaweedfs import SeaweedServer

    server = SeaweedServer(tmp_path_factory.mktemp("seaweedfs"), identities=True, bucket="captures")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def sftp(tmp_path: Path) -> "Iterator[SftpServer]":
    """OpenSSH's SFTP, started."""
    from testbed.sftp_server import SftpServer

    with started(SftpServer, tmp_path / "sftp") as server:
        yield server


@pytest.fixture
def ended(tmp_path: Path) -> "Callable[..., EndedCapture]":
    """Makes the files of a capture that has ended."""
    from tests.store.ended_capture import EndedCapture

    return lambda *sizes, **options: EndedCapture(tmp_path / f"c{time.monotonic_ns()}", sizes, **options)
