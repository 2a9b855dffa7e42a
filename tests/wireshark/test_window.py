"""Wireshark itself: its window, a capture that runs in it, and the toolbar's button."""

import subprocess
from pathlib import Path

import pytest

from testbed.patience import wait_until
from testbed.two_pods import PlainNode
from testbed.wireshark_window import captured_packets, wireshark


@pytest.mark.parametrize("entry", ["bicap-if-veth-client", "bicap-wait"])
def test_packets_come_into_the_window(entry: str, wireshark_node: PlainNode, tmp_path: Path) -> None:
    """From a live capture by themselves, from one that waits because a rule becomes true."""
    options = (
        {"interface": "veth-client", "trigger": "rate(packets)>1", "after": "60s"} if entry == "bicap-wait" else {}
    )
    name = entry.replace("-", "_")
    words = [word for key, value in options.items() for word in ("-o", f"extcap.{name}.{key}:{value}")]
    file = tmp_path / "shown.pcapng"
    ping = subprocess.Popen(
        wireshark_node.client.exec("ping", "-q", "-i", "0.1", wireshark_node.server.ip4), stdout=subprocess.DEVNULL
    )
    try:
        with wireshark(tmp_path, wireshark_node.exec(), "-i", entry, "-k", "-w", str(file), *words) as window:
            wait_until(lambda: any("Capturing from bicap" in title for title in window.titles()))
            wait_until(lambda: captured_packets(file) > 10)
            assert window.process.poll() is None
    finally:
        ping.kill()
        ping.wait()
