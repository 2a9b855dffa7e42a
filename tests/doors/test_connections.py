"""Ten thousand connections that do nothing: those over the limit are closed at once, and agents notice nothing."""

import resource
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture.retrieval.bounded_server import ClientLimits
from testbed.patience import wait_until
from tests.unit.retrieval.doors import NODE, OpenDoors, open_doors

CONNECTIONS = 10_000
LIMIT = 8
"""Of the doors of users and robots in these tests."""
MEMORY_MOST = 64 << 20


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[OpenDoors]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 2000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} descriptors, and {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        with open_doors(tmp_path / "bicap", ClientLimits(3.0, 3.0)) as doors:
            doors.keep(doors.cluster.add("c", "shop"), b"packets")
            doors.connected()
            yield doors
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory() -> int:
    """Bytes of this process, which has the doors."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("name", ["users", "robots"])
def test_ten_thousand_connections_cost_nothing_and_end(doors: OpenDoors, name: str) -> None:
    port = doors.users_port if name == "users" else doors.robots_port
    before, began, most = memory(), time.monotonic(), 0
    held: list[socket.socket] = []
    try:
        for _ in range(CONNECTIONS):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=60))
            most = max(most, doors.servers.connections(name))
        opened = time.monotonic() - began
        grown = memory() - before
        poll = select.poll()
        for sock in held:
            poll.register(sock, select.POLLIN)
        left = {sock.fileno() for sock in held}
        while left:
            for number, _ in poll.poll(60_000) or pytest.fail(f"{len(left)} connections are still open"):
                left.discard(number)
                poll.unregister(number)
    finally:
        for sock in held:
            sock.close()
    ended = time.monotonic() - began
    print(
        f"{name}: {CONNECTIONS} in {opened:.1f} s, all {ended:.1f} s to the end, {most} at a time, {grown >> 20} MiB"
    )
    assert most <= LIMIT
    assert grown < MEMORY_MOST
    assert doors.hub.nodes == [NODE], "the agent has lost its connection"
    wait_until(lambda: doors.get(f"/v1/files/{NODE}/c-n1.pcapng", doors.allow("c", "shop")).content == b"packets")
