"""The same veth, the same time, tcpdump beside it: the same packets."""

import contextlib
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from capture.kernel.features import has_tcx
from testbed import two_pods
from testbed.patience import PATIENCE, Stopwatch
from testbed.tool import CaptureProcess, Packets, assert_adds_up, check_with_readers, read_pcap, read_pcapng
from testbed.two_pods import PlainNode

POD_MACS = (bytes.fromhex("027700000001"), bytes.fromhex("027700000002"))
INBOUND, OUTBOUND = 1, 2


def start(words: list[str], sign: str, stream: str) -> subprocess.Popen[str]:
    """Start a process and wait until it says it is there."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    source = getattr(process, stream)
    for line in source:
        if sign in line:
            return process
    raise AssertionError(f"{words} ended: {process.wait()}")


@pytest.fixture
def serving(node: PlainNode) -> Iterator[None]:
    words = two_pods.serve(node.server)
    process = start(words, "serving", "stdout")
    yield
    process.kill()
    process.communicate()


def between_the_pods(packets: Packets) -> list[int]:
    """Positions of the packets that the test caused: from one pod to the other."""
    return [i for i, data in enumerate(packets.data) if data[:6] in POD_MACS and data[6:12] in POD_MACS]


@pytest.mark.parametrize("hook", ["tcx", "clsact", "xdp"])
@pytest.mark.usefixtures("serving")
def test_the_same_packets_as_tcpdump(node: PlainNode, tmp_path: Path, hook: str) -> None:
    theirs_file, ours_file = tmp_path / "theirs.pcap", tmp_path / "ours.pcapng"
    options = ["-p", "-n", "-s", "0", "-B", "65536", "-Z", "root", "--time-stamp-precision=nano"]
    tcpdump = start(
        node.exec("tcpdump", *options, "-i", node.client.veth, "-w", str(theirs_file)), "listening", "stderr"
    )
    watch = Stopwatch()
    try:
        with CaptureProcess(ours_file, "-i", node.client.veth, "--hook", hook, within=node.exec()) as capture:
            talk = two_pods.talk(node.client, node.server.ip4, node.server.ip6)
            subprocess.run(talk, check=True, timeout=PATIENCE)
            time.sleep(1.5)  # tcpdump leaves what its last block holds, unless the block's time (1 s) is over
    finally:
        tcpdump.send_signal(signal.SIGINT)
        tcpdump.communicate()
    ours, theirs = read_pcapng(ours_file), read_pcap(theirs_file)
    mine, other = between_the_pods(ours), between_the_pods(theirs)

    assert len(mine) > 100
    assert Counter(ours.data[i] for i in mine) == Counter(theirs.data[i] for i in other)
    assert Counter(ours.lengths[i] for i in mine) == Counter(theirs.lengths[i] for i in other)

    # Each way: the interface is the pod's host side, so outbound is what the pod sent.
    for i in mine:
        assert ours.flags[i] == (OUTBOUND if ours.data[i][6:12] == POD_MACS[0] else INBOUND)

    times: dict[bytes, list[int]] = defaultdict(list)
    for i in other:
        times[theirs.data[i]].append(int(theirs.times[i]))
    apart = np.array([ours.times[i] - times[ours.data[i]].pop(0) for i in mine])
    assert abs(np.median(apart)) < 200_000
    # A preempted task or vCPU may lie between the two readings.
    assert abs(apart).max() < 100_000_000 + watch.stalled * 1e9

    assert (np.diff(ours.times) >= 0).all()
    assert_adds_up(capture.summary["account"])
    assert capture.summary["account"]["lost"] == 0
    assert capture.summary["account"]["written"] == len(ours.data)
    assert capture.summary["plan"]["hook"] == hook
    assert capture.summary["interfaces"][0]["hooks"] == {
        "from_pod": "xdp native" if hook == "xdp" else hook,
        "to_pod": hook if hook != "xdp" else "tcx" if has_tcx() else "clsact",
    }
    check_with_readers(ours_file, len(ours.data))


@pytest.mark.usefixtures("serving")
def test_one_rule_brings_both_directions_and_nothing_else(node: PlainNode, tmp_path: Path) -> None:
    file = tmp_path / "http.pcapng"
    rule = ["--source", node.client.ip4, "--destination", f"{node.server.ip4}:80", "--protocol", "tcp"]
    with CaptureProcess(file, "-i", node.client.veth, *rule, within=node.exec()) as capture:
        talk = two_pods.talk(node.client, node.server.ip4, node.server.ip6)
        subprocess.run(talk, check=True, timeout=PATIENCE)
    fields = ["-T", "fields", "-e", "ip.src", "-e", "tcp.srcport", "-e", "ip.dst", "-e", "tcp.dstport"]
    shown = subprocess.run(["tshark", "-n", "-r", str(file), *fields], capture_output=True, text=True, check=True)
    ways = Counter((line.split()[0], line.split()[3] == "80") for line in shown.stdout.splitlines())
    assert set(ways) == {(node.client.ip4, True), (node.server.ip4, False)}
    account = capture.summary["account"]
    assert account["unmatched"] > 0
    assert account["forward"]["written"] == ways[(node.client.ip4, True)]
    assert account["reverse"]["written"] == ways[(node.server.ip4, False)]
    # SYN, SYN-ACK, ACK: the handshake is there, in this order.
    flags = subprocess.run(
        ["tshark", "-n", "-r", str(file), "-T", "fields", "-e", "tcp.flags"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [int(flag, 16) & 0x12 for flag in flags.stdout.split()[:3]] == [0x02, 0x12, 0x10]


@pytest.mark.usefixtures("serving")
def test_both_ends_of_a_veth_give_a_packet_the_same_direction(node: PlainNode, tmp_path: Path) -> None:
    places = {"host": (node.netns, node.client.veth), "pod": (node.client.netns, "eth0")}
    files = {name: tmp_path / f"{name}.pcapng" for name in places}
    with contextlib.ExitStack() as stack:
        for name, (netns, interface) in places.items():
            stack.enter_context(CaptureProcess(files[name], "-i", interface, "--netns", netns, "--protocol", "icmp"))
        subprocess.run(
            node.client.exec("ping", "-c", "3", "-i", "0.05", node.server.ip4), check=True, timeout=PATIENCE
        )
    found = {name: read_pcapng(file) for name, file in files.items()}
    assert found["host"].data == found["pod"].data
    assert found["host"].flags == found["pod"].flags == [OUTBOUND, INBOUND] * 3
