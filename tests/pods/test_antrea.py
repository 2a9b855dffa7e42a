"""Antrea's PacketCapture objects, run as they are on real pods: the file has what they ask for, and nothing else."""

from pathlib import Path

import pytest

from testbed.tool import CaptureProcess
from tests.pods.conftest import Pods
from tests.pods.named_packets import seen

OBJECT = """\
apiVersion: crd.antrea.io/v1alpha1
kind: PacketCapture
metadata: {name: test}
spec:
  source: {pod: {namespace: shop, name: web-0}}
  destination: {pod: {namespace: bank, name: api-0}}
  captureConfig: {firstN: {number: 1000}}
"""
SYN, SYN_ACK = "tcp.flags == 0x002", "tcp.flags == 0x012"

CASES = {
    "both directions without packet": ("  direction: Both\n", "http.request && tcp", 1, "http.response && tcp", 1),
    "an empty tcp header": (
        "  direction: Both\n  packet: {protocol: TCP, transportHeader: {tcp: {}}}\n",
        "http.request && tcp", 1, "http.response && tcp", 1,
    ),
    "from the source only, which is the default": ("", "http.request && tcp", 1, "http.response && tcp", 0),
    "back only": ("  direction: DestinationToSource\n", "http.request && tcp", 0, "http.response && tcp", 1),
    "SYN in both directions": (
        "  direction: Both\n  packet: {protocol: TCP, transportHeader: {tcp: {flags: [{value: 2}]}}}\n",
        SYN, 1, SYN_ACK, 1,
    ),
    "at the destination": ("  direction: Both\n  capturePoint: Destination\n", SYN, 1, SYN_ACK, 1),
    "IPv6": ("  direction: Both\n  packet: {ipFamily: IPv6}\n", f"ipv6 && {SYN}", 1, "ip", 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_object_captures_what_it_says(pods: Pods, tmp_path: Path, case: tuple[str, str, int, str, int]) -> None:
    more, one, ones, other, others = case
    web, api = pods("shop", "web-0"), pods("bank", "api-0")
    manifest, file = tmp_path / "pc.yaml", tmp_path / "f.pcapng"
    manifest.write_text(OBJECT + more)
    with CaptureProcess(file, "--cri-socket", pods.node.socket, "-f", str(manifest)) as capture:
        for ip in api.ips:
            pods.node.get(web, ip)
    assert (len(seen(file, one)), len(seen(file, other))) == (ones, others)
    at = "bank/api-0:eth0" if "Destination\n" in more and "capturePoint" in more else "shop/web-0:eth0"
    assert [interface["name"] for interface in capture.summary["interfaces"]] == [at]


def test_the_first_packets_end_the_capture(pods: Pods, tmp_path: Path) -> None:
    web, api = pods("shop", "web-0"), pods("bank", "api-0")
    manifest, file = tmp_path / "pc.yaml", tmp_path / "f.pcapng"
    manifest.write_text(OBJECT.replace("1000", "5") + "  direction: Both\n")
    with CaptureProcess(file, "--cri-socket", pods.node.socket, "-f", str(manifest), stop=False) as capture:
        pods.node.get(web, api.ips[0])
    assert (capture.process.returncode, capture.summary["end_reason"]) == (0, "count reached")
    assert len(seen(file, "frame")) == 5
