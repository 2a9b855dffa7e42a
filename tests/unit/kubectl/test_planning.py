"""What a capture would write on each node, from loads that somebody gives or that another capture has met."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from capture.cluster.node_disk import NodeDisk, disk_annotation
from capture.pcapng.blocks import packet_block_bytes
from capture.units import format_size
from tests.unit.kubectl.desk import Desk

GIB = 1 << 30
BLOCK = packet_block_bytes(1000)
PODS = (("web-0", "n1", "web"), ("web-1", "n1", "web"), ("web-2", "n2", "web"), ("db", "n3", "db"))
NOW = datetime.now(UTC)


def lease(desk: Desk, node: str, free: int, age: timedelta = timedelta(), min_free: str = "10%") -> None:
    """Let the agent of a node say how full its disk of 100 GiB is."""
    notes = dict(disk_annotation(NodeDisk(size=100 * GIB, free=free, min_free=min_free)))
    metadata = {"name": node, "namespace": "bicap-node-lease", "annotations": notes}
    renewed = (datetime.now(UTC) - age).isoformat()
    desk.cluster.put("leases", metadata["name"], {"metadata": metadata, "spec": {"renewTime": renewed}})


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path) as desk:
        for name, node, app in (
            ("web-0", "n1", "web"),
            ("web-1", "n1", "web"),
            ("web-2", "n2", "web"),
            ("db", "n3", "db"),
        ):
            metadata = {"name": name, "namespace": "shop", "uid": name, "labels": {"app": app}}
            desk.cluster.put(
                "pod", name, {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": "Running"}}
            )
        selector = {"matchLabels": {"app": "web"}}
        desk.cluster.put("deployment", "web", {"metadata": {"name": "web"}, "spec": {"selector": selector}})
        lease(desk, "n1", 60 * GIB)
        lease(desk, "n2", 20 * GIB)
        yield desk


def planned(desk: Desk, *words: str) -> Any:
    code, out, err = desk.run("plan", *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_each_node_has_the_load_of_its_pods_and_each_disk_its_time(desk: Desk) -> None:
    found = planned(desk, "deploy/web", "--assume", "1kpps,1000B")
    one, two = found["nodes"]
    assert [(node["node"], node["pods"], node["packets_per_second"]) for node in (one, two)] == [
        ("n1", 2, 2000),
        ("n2", 1, 1000),
    ]
    assert (one["file_bytes_per_second"], two["file_bytes_per_second"]) == (2000 * BLOCK, 1000 * BLOCK)
    assert one["disk"] == {"size_bytes": 100 * GIB, "free_bytes": 60 * GIB, "stays_free_bytes": 10 * GIB}
    assert one["full_after_seconds"] == pytest.approx(50 * GIB / (2000 * BLOCK))
    assert two["full_after_seconds"] == pytest.approx(10 * GIB / (1000 * BLOCK))
    assert found["file_bytes_per_second"] == 3000 * BLOCK
    assert [node["most_bytes"] for node in (one, two)] == [None, None]
    assert len([line for line in found["warnings"] if "nothing ends the capture before" in line]) == 2


def test_limits_hold_on_each_node_and_end_the_warnings(desk: Desk) -> None:
    found = planned(desk, "deploy/web", "--assume", "1kpps,1000B", "--max-bytes", "1GiB", "--min-free", "30GiB")
    assert [node["most_bytes"] for node in found["nodes"]] == [GIB, GIB]
    assert found["most_bytes"] == 2 * GIB
    assert found["nodes"][0]["disk"]["stays_free_bytes"] == 30 * GIB
    (line,) = found["warnings"]
    assert line.startswith("n2 has 20.0 GiB free, and 30.0 GiB must stay free: no room")


def test_samplers_and_the_direction_are_those_of_a_capture(desk: Desk) -> None:
    whole = planned(desk, "deploy/web", "--assume", "1kpps,1000B")["file_bytes_per_second"]
    found = planned(desk, "deploy/web", "--assume", "1kpps,1000B", "-s", "100", "--sample", "flow:1/4")
    assert found["file_bytes_per_second"] == whole / BLOCK * packet_block_bytes(100) / 4
    assert found["assumptions"]


def test_the_load_is_what_another_capture_has_met(desk: Desk) -> None:
    began = NOW - timedelta(hours=1)
    ways = {"forward": {"packets": 1000, "bytes": 100_000}, "reverse": {"packets": 3000, "bytes": 900_000}}
    gap = {"from": (began + timedelta(seconds=10)).isoformat(), "to": (began + timedelta(seconds=20)).isoformat()}
    ended = {"startedAt": began.isoformat(), "endedAt": (began + timedelta(seconds=110)).isoformat()}
    desk.capture("yesterday", nodes=[{"node": "n1", "interruptions": [gap]} | ended | ways])
    found = planned(desk, "deploy/web", "--like", "yesterday")
    one, two = found["nodes"]
    assert one["packets_per_second"] == pytest.approx(40)
    assert one["file_bytes_per_second"] == pytest.approx(10 * packet_block_bytes(100) + 30 * packet_block_bytes(300))
    assert (two["known"], two["file_bytes_per_second"], two["full_after_seconds"]) == (False, None, None)
    assert "n2: nothing is known of the load there; give --assume" in found["warnings"]
    assert found["source"] == "what shop/yesterday has written"


def test_a_store_lasts_as_long_as_its_room(desk: Desk) -> None:
    words = ("deploy/web", "--assume", "1kpps,1000B", "--duration", "1d", "--store", "prod")
    found = planned(desk, *words, "--store-room", "100GiB")
    assert found["store"]["full_after_seconds"] == pytest.approx(100 * GIB / (3000 * BLOCK))
    assert any("prod holds 100.0 GiB: enough for" in line for line in found["warnings"])
    code, out, _ = desk.run("plan", *words)
    assert code == 0
    assert f"prod: {format_size(3000 * BLOCK)}/s, {format_size(86400 * 3000 * BLOCK)} a day; --store-room says" in out
    assert "until the store has confirmed them" in out


def test_a_node_that_says_nothing_is_named(desk: Desk) -> None:
    desk.cluster.delete("leases", "n2")
    lease(desk, "n1", 60 * GIB, age=timedelta(hours=2))
    found = planned(desk, "deploy/web", "--assume", "1kpps,1000B", "--duration", "1s")
    assert "n1: its agent was last heard 2h0m00s ago" in found["warnings"]
    assert "n2: no agent of bicap has run on this node, so nothing will be captured there" in found["warnings"]
    assert found["nodes"][1]["disk"] is None


def test_people_read_a_table(desk: Desk) -> None:
    code, out, _ = desk.run("plan", "deploy/web", "--assume", "1kpps,1000B", "--max-bytes", "1GiB")
    lines = out.splitlines()
    assert code == 0
    assert " ".join(lines[0].split()) == "NODE PODS PACKETS/S FILES/S AT MOST DISK FREE STAYS FREE LASTS"
    assert lines[1].split()[:3] == ["n1", "2", "2,000"]
    assert lines[3].split()[:3] == ["all", "3", "3,000"]
    assert "load     --assume 1kpps,1000B, for each pod" in lines
    assert not [call for call in desk.cluster.calls if call.startswith("create")]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["deploy/web"], 2, "the load is not known; give --assume"),
        (["deploy/web", "--assume", "1kpps,1000B", "--like", "x"], 2, "the load is not known"),
        (["deploy/web", "--assume", "1kpps,1000B", "--store-room", "1TiB"], 2, "for a capture with a store"),
        (["-l", "app=none", "--assume", "1kpps,1000B"], 3, "no pods are chosen that run now"),
        (["deploy/web", "--assume", "often"], 2, "'often' is not understood"),
    ],
)
def test_what_cannot_be_planned_is_one_line(desk: Desk, words: list[str], code: int, message: str) -> None:
    found, out, err = desk.run("plan", *words)
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1
