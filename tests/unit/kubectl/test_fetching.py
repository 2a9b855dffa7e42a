"""What nodes have comes here whole, once, in order of time; what does not come is named."""

from pathlib import Path

import pytest

from tests.unit.kubectl.desk import Desk, ServedNode, node_file
from tests.unit.pcapng.test_joining import packets_of

pytestmark = pytest.mark.slow


def two_nodes(desk: Desk, packets: int = 50, size: int = 100) -> None:
    for number, node in enumerate(("n1", "n2")):
        data = node_file(node, range(number, packets * 2, 2), size)
        desk.nodes[node] = ServedNode({f"web-{node}.pcapng": data, f"web-{node}.pcapng.json": b"{}"})
    desk.capture("web", packets=packets * 2)


def test_a_capture_comes_as_one_file_in_order_of_time(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        two_nodes(desk)
        code, out, err = desk.run("fetch", "web", "--rm")
        assert (code, out) == (0, ""), err
        assert "web.pcapng: 100 packets of 2 nodes" in err
        found = packets_of((tmp_path / "web.pcapng").read_bytes())
        assert [ns for _, ns, _ in found] == [*range(100)]
        assert {name for name, _, _ in found} == {"shop/n1:eth0", "shop/n2:eth0"}
        assert desk.cluster.get("packetcaptures", "web") is None
        assert sorted(path.name for path in tmp_path.iterdir()) == ["web.pcapng"]


def test_single_files_are_those_of_the_nodes_byte_by_byte(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        two_nodes(desk)
        code, _, err = desk.run("fetch", "web", "--split", "-w", "all")
        assert code == 0, err
        for node, served in desk.nodes.items():
            for name, data in served.files.items():
                assert (tmp_path / "all" / node / name).read_bytes() == data
        assert desk.cluster.get("packetcaptures", "web")


def test_a_way_that_is_cut_again_and_again_is_opened_again_and_nothing_comes_twice(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        two_nodes(desk, 250, 50_000)
        desk.cluster.cut = 10_000_000
        code, _, err = desk.run("fetch", "web", "--split", "-w", "all")
        assert code == 0, err
        for node, served in desk.nodes.items():
            for name, data in served.files.items():
                assert (tmp_path / "all" / node / name).read_bytes() == data
        forwards = [call for call in desk.cluster.calls if "port-forward" in call]
        assert len(forwards) >= 3
        assert forwards[0] == "port-forward -n bicap-system --address 127.0.0.1 pod/bicap-controller-1 :8470"


def test_what_is_here_already_is_not_fetched_again(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        two_nodes(desk)
        name = "web-n1.pcapng"
        data = desk.nodes["n1"].files[name]
        part = tmp_path / "web.pcapng.nodes" / "n1" / f"{name}.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(data[:1000])
        code, _, err = desk.run("fetch", "web")
        assert code == 0, err
        assert f"/v1/files/n1/{name} bytes=1000-{len(data) - 1}" in desk.requests
        assert "1000 B of" in err


def test_a_part_that_is_of_something_else_is_fetched_anew(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        two_nodes(desk)
        part = tmp_path / "all" / "n1" / "web-n1.pcapng.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"of an earlier capture")
        code, _, err = desk.run("fetch", "web", "--split", "-w", "all")
        assert code == 0, err
        assert (tmp_path / "all" / "n1" / "web-n1.pcapng").read_bytes() == desk.nodes["n1"].files["web-n1.pcapng"]


def test_bytes_that_were_changed_on_the_way_are_fetched_again(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        two_nodes(desk)
        desk.spoiled = 2
        code, _, err = desk.run("fetch", "web")
        assert code == 0, err
        assert len(packets_of((tmp_path / "web.pcapng").read_bytes())) == 100


def test_a_node_that_failed_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        two_nodes(desk)
        desk.nodes["n2"] = ServedNode(phase="Failed", reason="Error", message="no room on the disk")
        desk.nodes["n3"] = ServedNode(reachable=False)
        code, _, err = desk.run("fetch", "web", "--rm")
        assert code == 8
        assert "not here: n2: no room on the disk" in err
        assert "not here: n3: its agent does not answer" in err
        data = (tmp_path / "web.pcapng").read_bytes()
        assert len(packets_of(data)) == 50
        assert b"not in this file: n2: no room on the disk" in data
        assert desk.cluster.get("packetcaptures", "web"), "what is not here must not be deleted"


def test_names_from_the_cluster_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        two_nodes(desk)
        desk.nodes["n1"].files = {"../../evil": b"x"}
        code, _, err = desk.run("fetch", "web")
        assert code == 8
        assert "'../../evil' is not the name of a node or of a file" in err


def test_a_capture_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        code, out, err = desk.run("fetch", "nothing")
        assert (code, out) == (7, "")
        assert err == 'bicap: packetcaptures "nothing" not found\n'
