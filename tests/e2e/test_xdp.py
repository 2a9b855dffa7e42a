"""XDP on live interfaces: in the driver where that can, else on skbs; beside others' programs; nothing stays."""

import subprocess
from pathlib import Path

from testbed.patience import PATIENCE
from testbed.tool import CaptureProcess, assert_adds_up, bicap, check_with_readers, read_pcapng
from testbed.two_pods import PlainNode, run


def ping(node: PlainNode) -> None:
    subprocess.run(node.client.exec("ping", "-c", "3", "-i", "0.05", node.server.ip4), check=True, timeout=PATIENCE)


def test_a_driver_without_xdp_gets_it_on_skbs(node: PlainNode, tmp_path: Path) -> None:
    file = tmp_path / "f.pcapng"
    with CaptureProcess(
        file, "-i", "lo", "-i", "eth0", "--netns", node.client.netns, "--hook", "xdp", "icmp"
    ) as capture:
        ping(node)
        subprocess.run(node.client.exec("ping", "-c", "2", "-i", "0.05", "127.0.0.1"), check=True, timeout=PATIENCE)
    check_with_readers(file)
    hooks = {i["name"]: i["hooks"] for i in capture.summary["interfaces"]}
    assert hooks == {
        "lo": {"from_pod": "tcx", "to_pod": "xdp generic"},
        "eth0": {"from_pod": "tcx", "to_pod": "xdp native"},
    }
    assert {i["name"]: i["account"]["written"] for i in capture.summary["interfaces"]} == {"lo": 8, "eth0": 6}
    assert_adds_up(capture.summary["account"])
    assert read_pcapng(file).flags.count(1) == 7


def test_an_interface_under_one_that_has_xdp_is_refused_with_the_reason(node: PlainNode, tmp_path: Path) -> None:
    run("ip", "-n", node.client.netns, "link", "add", "link", "eth0", "name", "mv0", "type", "macvlan")
    words = ["--netns", node.client.netns, "--hook", "xdp"]
    with CaptureProcess(tmp_path / "one.pcapng", "-i", "mv0", *words):
        done = bicap("capture", "-i", "eth0", *words, "-w", str(tmp_path / "two.pcapng"))
    says = "bicap: an interface on top of eth0 has an XDP program; use --hook tcx\n"
    assert (done.code, done.stderr) == (4, says)


def test_no_program_is_left_after_the_capture(node: PlainNode, tmp_path: Path) -> None:
    with CaptureProcess(tmp_path / "f.pcapng", "-i", node.client.veth, "--netns", node.netns, "--hook", "xdp"):
        assert "xdp" in run("ip", "-n", node.netns, "link", "show", node.client.veth)
    assert "xdp" not in run("ip", "-n", node.netns, "link", "show", node.client.veth)


def test_another_program_at_xdp_stays_and_is_reported(node: PlainNode, tmp_path: Path) -> None:
    words = ["-i", node.client.veth, "--netns", node.netns, "--hook", "xdp"]
    with CaptureProcess(tmp_path / "one.pcapng", *words) as capture:
        done = bicap("capture", *words, "-w", str(tmp_path / "two.pcapng"))
        assert done.code == 4
        assert done.stderr == f"bicap: {node.client.veth} already has an XDP program; use --hook tcx\n"
        ping(node)
    assert capture.summary["account"]["written"] >= 6
