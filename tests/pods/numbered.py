"""Numbered UDP datagrams from one pod's namespace to another -> which of them a capture has."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.pods.containerd_node import RealPod

PORT = 9


def send_numbered(ip: str, seconds: float, every: float = 0.0005) -> None:
    """Send datagrams with numbers from 0; says how many there were."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            sender.sendto(number.to_bytes(8, "big"), (ip, PORT))
            number += 1
            time.sleep(every)
    print(number, flush=True)


class Numbered:
    """Datagrams that flow in the background from one pod to another, until `total` waits for their end."""

    def __init__(self, source: "RealPod", ip: str, seconds: float) -> None:
        call = [sys.executable, str(Path(__file__)), ip, str(seconds)]
        self._process = subprocess.Popen(
            ["nsenter", f"--net={source.netns}", *call], stdout=subprocess.PIPE, text=True
        )

    def total(self) -> int:
        """How many were sent, when all are."""
        out, _ = self._process.communicate(timeout=100)
        assert self._process.returncode == 0
        return int(out)


def numbers(file: Path, interface: str) -> list[int]:
    """The numbers of the datagrams that a capture has from one interface, in the file's order."""
    wanted = f'udp.dstport == {PORT} && !icmp && frame.interface_name == "{interface}"'  # errors quote datagrams
    command = ["tshark", "-n", "-r", str(file), "-Y", wanted, "-T", "fields", "-e", "udp.payload"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(line, 16) for line in done.stdout.split()]


if __name__ == "__main__":
    send_numbered(sys.argv[1], float(sys.argv[2]))
