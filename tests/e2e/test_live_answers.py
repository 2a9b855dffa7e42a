"""`bicap capture --diagnose`: what a capture says of its sessions while it writes."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from testbed.patience import wait_until
from testbed.tool import BICAP, CaptureProcess, bicap
from testbed.two_pods import PlainNode

REFUSED = "import socket; s = socket.socket(); s.settimeout(5); s.connect_ex(('{ip}', 81))"
SEND = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor _ in range({n}): s.sendto(bytes({size}), ('{ip}', 9))"  # noqa: E501


def send(node: PlainNode, count: int, size: int) -> None:
    code = SEND.format(n=count, size=size, ip=node.server.ip4)
    subprocess.run(node.client.exec(sys.executable, "-c", code), check=True)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_findings_come_while_it_writes_and_at_the_end_it_says_what_diagnose_says(
    node: PlainNode, tmp_path: Path
) -> None:
    file = tmp_path / "capture.pcapng"
    rules = ["--protocol", "udp", "--destination", ":9", "--protocol", "tcp"]
    words = ["-i", "veth-client", *rules, "-C", "1MiB", "-W", "3"]
    with CaptureProcess(file, *words, "--diagnose", "--stats-interval", "200ms", within=node.exec()) as capture:
        subprocess.run(node.client.exec(sys.executable, "-c", REFUSED.format(ip=node.server.ip4)), check=True)
        send(node, 20, 100)
        wait_until(lambda: "1 of 1 connection to 10.77.0.2:81 was refused by RST" in capture.log(), capture.log)
        # While it stands still, files that it has not read are removed; the capture waits for nothing.
        (answers,) = children(capture.process.pid)
        os.kill(answers, signal.SIGSTOP)
        send(node, 5000, 1400)
        wait_until(lambda: len(list(tmp_path.glob("capture*.pcapng"))) >= 3, capture.log)
        os.kill(answers, signal.SIGCONT)
    account = capture.summary["account"]
    assert (account["lost"], account["matched"]) == (0, account["written"])
    log = capture.log()
    assert "packets could not be followed; bicap diagnose reads all" in log
    assert "udp     10.77.0.1:" in log
    assert log.index("packets written to") < log.rindex("1 of 1 connection to 10.77.0.2:81 was refused by RST")


def test_in_a_terminal_keys_work_and_q_ends_the_capture_with_a_whole_file(node: PlainNode, tmp_path: Path) -> None:
    file, ready = tmp_path / "capture.pcapng", tmp_path / "ready"
    ours, theirs = pty.openpty()
    words = [
        "capture",
        "-i",
        "veth-client",
        "--protocol",
        "udp",
        "-w",
        str(file),
        "--diagnose",
        "--ready-file",
        str(ready),
    ]
    process = subprocess.Popen(node.exec(BICAP, *words), stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    seen = b""

    def shows(text: bytes) -> bool:
        nonlocal seen
        seen += os.read(ours, 1 << 16)
        return text in seen

    try:
        wait_until(lambda: shows(b"q end"), lambda: seen.decode())
        send(node, 3, 100)
        wait_until(lambda: shows(b"10.77.0.2:9"), lambda: seen.decode())
        os.write(ours, b"\r")
        wait_until(lambda: shows(b"client_packets 3"), lambda: seen.decode())
        os.write(ours, b"\x1b/port=1\r")
        wait_until(lambda: shows(b"filter port=1;"), lambda: seen.decode())
        os.write(ours, b"q")
        wait_until(lambda: shows(b"the capture lost nothing"), lambda: seen.decode())
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"ended by q" in seen
    assert '"client_packets": 3' in bicap("sessions", "--json", str(file)).stdout
