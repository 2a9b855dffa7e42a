"""Packets of several CPUs are in the file in the order of their times: those of full load, and every handshake."""

import re
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from capture.benchmark.veth_pair import VethPair
from capture.kernel.counters import online_cpus
from capture.units import format_count
from testbed.tool import CaptureProcess, assert_adds_up, check_with_readers, read_pcapng
from testbed.two_pods import PlainNode, PlainPod, run
from tests.e2e import connections
from tests.e2e.veth_load import receive, transmit

pytestmark = pytest.mark.skipif(len(online_cpus()) < 2, reason="one CPU has only one order")

INBOUND, OUTBOUND = 1, 2
SYN, ACK = 0x02, 0x10
EACH_WAY = 500_000
CONNECTIONS = 300


def out_of_order(file: Path) -> int:
    """Return the number of packets that reordercap finds out of order."""
    told = re.search(r"(\d+) out of order", run("reordercap", "-n", str(file), str(file.with_suffix(".reordered"))))
    assert told is not None
    return int(told[1])


def test_a_million_packets_from_two_cpus_are_in_order(tmp_path: Path) -> None:
    first, second = online_cpus()[:2]
    with VethPair() as link:
        options = ["-i", "vb", "--netns", link.netns, "--buffer", "128MiB"]  # holds them all if nobody reads
        with CaptureProcess(tmp_path / "f.pcapng", *options) as capture:
            senders = [
                threading.Thread(target=receive, args=(link, EACH_WAY, second)),
                threading.Thread(target=transmit, args=(link, EACH_WAY, first)),
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
        assert link.counters("vb") == (EACH_WAY, EACH_WAY)
    account, clock = capture.summary["account"], capture.summary["clock"]
    assert_adds_up(account)
    assert (account["lost"], account["written"]) == (0, 2 * EACH_WAY)

    found = read_pcapng(capture.file)
    flags = np.array(found.flags)
    assert [(flags == way).sum() for way in (INBOUND, OUTBOUND)] == [EACH_WAY, EACH_WAY]
    assert (np.diff(flags) != 0).sum() > 1000, "the CPUs did not send at the same time: nothing was merged"
    assert (np.diff(found.times) >= 0).all()
    # A late record is given the time of the one before it. That needs a CPU that stood still for long.
    late = format_count(clock["late_packets"], "packet")
    assert clock["late_packets"] == 0 or f"{late} carr" in capture.log()
    assert clock["late_packets"] < EACH_WAY // 1000
    assert out_of_order(capture.file) == 0


def steer(pod: PlainPod, cpu: int) -> None:
    """Let the CPU process what a pod receives, so that it answers from there."""
    run(*pod.exec("sh", "-c", f"echo {1 << cpu:x} > /sys/class/net/eth0/queues/rx-0/rps_cpus"))


@pytest.fixture
def server(node: PlainNode) -> Iterator[None]:
    """The client on the first CPU and the server on the second, their interfaces too."""
    client_cpu, server_cpu = online_cpus()[:2]
    steer(node.client, client_cpu)
    steer(node.server, server_cpu)
    words = node.server.exec(sys.executable, connections.__file__, "serve", str(server_cpu))
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "serving\n"
            yield
        finally:
            process.kill()


def steered() -> int:
    """How many packets CPUs got from others to process (the received_rps column, one line per CPU)."""
    with open("/proc/net/softnet_stat") as stat:
        return sum(int(line.split()[9], 16) for line in stat)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("hook", ["tcx", "clsact"])
def test_every_handshake_is_syn_syn_ack_ack(node: PlainNode, tmp_path: Path, hook: str) -> None:
    options = ["-i", node.client.veth, "--netns", node.netns, "--hook", hook, "--protocol", "tcp"]
    before = steered()
    with CaptureProcess(tmp_path / "f.pcapng", *options) as capture:
        client_cpu = str(online_cpus()[0])
        talk = [sys.executable, connections.__file__, "talk", client_cpu, node.server.ip4, str(CONNECTIONS)]
        run(*node.client.exec(*talk))
    assert steered() - before > 2 * CONNECTIONS, "the two directions did not come from two CPUs"

    found = read_pcapng(capture.file)
    assert (np.diff(found.times) >= 0).all()
    conversations: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for data in found.data:
        source, destination = (int.from_bytes(data[at : at + 2], "big") for at in (34, 36))
        way, port = (">", source) if destination == connections.PORT else ("<", destination)
        conversations[port].append((way, data[47]))
    assert len(conversations) == CONNECTIONS
    for port, packets in conversations.items():
        assert packets[:2] == [(">", SYN), ("<", SYN | ACK)], f"port {port}: {packets}"
        assert packets[2] == (">", ACK), f"port {port}: {packets}"
        assert not any(flags & SYN for _, flags in packets[2:]), f"port {port}: {packets}"
    assert capture.summary["account"]["lost"] == 0
    assert capture.summary["clock"]["late_packets"] == 0
    assert out_of_order(capture.file) == 0
    check_with_readers(capture.file, len(found.data))
