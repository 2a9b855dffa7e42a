"""Captures of two nodes, a translated service and a VXLAN overlay between them -> every packet on every leg."""

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from testbed.tool import CaptureProcess, bicap
from testbed.two_pods import serve, talk
from tests.e2e.test_analysis import sessions
from tests.e2e.test_legs import compared
from tests.e2e.two_nodes import SERVICE, Two, two_nodes

WAY = ["a pod-a", "a wire", "b wire", "b pod-b"]


@contextmanager
def captured(on: Two, folder: Path) -> Iterator[None]:
    """A server in its pod, and captures on both nodes of all that passes."""
    server = subprocess.Popen(serve(on.server), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "serving\n"
        with (
            CaptureProcess(folder / "a", "--netns", on.nodes[0], "-i", "pod-a", "-i", "wire"),
            CaptureProcess(folder / "b", "--netns", on.nodes[1], "-i", "pod-b", "-i", "wire"),
        ):
            yield
    finally:
        server.kill()
        server.communicate()


def legs(folder: Path) -> dict[tuple[str, str], Any]:
    """The legs, by the points that they are between."""
    found = compared("--one-clock", folder / "a", folder / "b")
    return {
        tuple(f"{Path(leg[end]['file']).name} {leg[end]['interface']}" for end in ("source", "target")): leg
        for leg in found["legs"]
    }


@pytest.fixture(params=[False, True], ids=["service", "service and hidden client"])
def nodes(request: pytest.FixtureRequest) -> Iterator[Two]:
    with two_nodes(f"bicap-{uuid.uuid4().hex[:6]}", request.param) as on:
        yield on


def test_every_packet_is_followed_through_translation_and_tunnel(nodes: Two, tmp_path: Path) -> None:
    with captured(nodes, tmp_path):
        subprocess.run(talk(nodes.client, SERVICE), check=True)
    found = legs(tmp_path)
    there, back = list(pairwise(WAY)), list(pairwise(WAY[::-1]))
    assert set(found) == {*there, *back}
    for way in (there, back):
        assert len({found[leg]["paired"] for leg in way}) == 1
        assert found[way[0]]["paired"] > 10
    for leg in found.values():
        assert [leg[name] for name in ("lost", "doubtful", "early", "resegmented", "not_captured")] == [0] * 5
        assert 0 < leg["delay_ns"]["median"] < 1e7


SAID = ["protocol", "client", "client_port", "server", "server_port", "handshake", "client_payload", "server_payload"]
"""Columns that are the same before and after a tunnel, even if segments are split or merged on the way."""


def test_sessions_inside_the_tunnel_are_those_behind_it(nodes: Two, tmp_path: Path) -> None:
    """The sessions inside the tunnel on node-b's wire are those on its pod's interface."""
    with captured(nodes, tmp_path):
        subprocess.run(talk(nodes.client, SERVICE), check=True)
    by_interface: dict[str, list[list[Any]]] = {"wire": [], "pod-b": []}
    for session in sessions(tmp_path / "b", "--inner", "--filter", f"address={nodes.server.ip4}"):
        by_interface[session["interface"]].append([session[name] for name in SAID])
    assert by_interface["wire"] == by_interface["pod-b"]
    assert {protocol for protocol, *_ in by_interface["wire"]} == {"tcp", "udp", "icmp"}
    outside = bicap("sessions", "--json", "--filter", f"address={nodes.server.ip4}", str(tmp_path / "b"))
    assert {json.loads(line)["interface"] for line in outside.stdout.splitlines()} == {"pod-b"}
    # About half of the packets are in the tunnel: it depends on their number whether --inner is named.
    hint = r"(bicap: \d+ % of the packets are in VXLAN; --inner shows what is inside\n)?"
    assert (outside.code, bool(re.fullmatch(hint, outside.stderr))) == (0, True), outside.stderr


ASK = """
import socket, sys, time
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect((sys.argv[1], 53))
for number in range(100):
    udp.send(b"%d" % number)
time.sleep(0.1)
udp.send(b"bye")  # what is lost before the other capture's last packet is known to be lost
"""


def test_packets_that_a_node_drops_after_the_tunnel_are_lost_on_its_leg(nodes: Two, tmp_path: Path) -> None:
    nodes.drop(f"-d {nodes.server.ip4} -p udp --dport 53", every=3)
    with captured(nodes, tmp_path):
        subprocess.run(nodes.client.exec(sys.executable, "-c", ASK, SERVICE), check=True)
    assert nodes.dropped == 34
    lost = {way: leg["lost"] for way, leg in legs(tmp_path).items() if leg["lost"]}
    assert lost == {("b wire", "b pod-b"): 34}
