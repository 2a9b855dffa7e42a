"""`bicap capture --metrics` as a command: the page has the account, and the sessions, while the capture runs."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.patience import wait_until
from testbed.tool import CaptureProcess, bicap
from testbed.two_pods import PlainNode, run

pytestmark = pytest.mark.kernel
READ = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9464/metrics').read().decode())"


def test_the_page_counts_what_the_capture_counts(node: PlainNode, tmp_path: Path) -> None:
    run("ip", "-n", node.netns, "link", "set", "lo", "up")
    options = ["-i", "veth-client", "--metrics", "9464", "icmp"]

    def value(name: str) -> float:
        done = subprocess.run(node.exec(sys.executable, "-c", READ), capture_output=True, text=True, check=True)
        found = re.findall(rf"^bicap_{name}(?:{{.*}})? (\S+)$", done.stdout, re.MULTILINE)
        return sum(map(float, found))

    with CaptureProcess(tmp_path / "f.pcapng", *options, within=node.exec()) as capture:
        run(*node.client.exec("ping", "-q", "-c", "3", "-i", "0.01", node.server.ip4))
        wait_until(lambda: value("written_packets_total") == 6)
        assert value("matched_packets_total") == 6
        assert value("lost_packets_total") == 0
        assert value("seen_packets_total") == value("unmatched_packets_total") + 6
        # A process of its own reads the file: echo requests are answered within a second.
        wait_until(lambda: value("round_trip_seconds_count") == 3)
        assert value(r'round_trip_seconds_bucket{[^}]*le="1.0"[^}]*measure="echo"[^}]*}') == 3
        assert value("analyzed_packets_total") == 6
        assert value("unread_files_total") == 0
    assert capture.process.returncode == 0, capture.log()
    assert capture.summary["account"]["written"] == 6


def test_an_address_in_use_is_one_line_and_captures_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = bicap("capture", "-i", "lo", "--metrics", str(port), "-w", str(tmp_path / "f.pcapng"))
    assert (done.code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"--metrics {port}: cannot listen there" in done.stderr
    assert not (tmp_path / "f.pcapng").exists()
