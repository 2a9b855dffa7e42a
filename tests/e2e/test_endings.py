"""However a capture ends, its file is complete, every packet is accounted for, and the reason is told."""

import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture.benchmark.veth_pair import VethPair
from capture.kernel.links import LinkWatch
from testbed.patience import PATIENCE, Stopwatch, wait_until
from testbed.tool import BICAP, CaptureProcess, assert_adds_up, check_with_readers, read_pcapng
from testbed.two_pods import PlainNode, run
from tests.e2e.veth_load import BULK, CHUNK, FROM_VB, BothWays, receive, transmit


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


def ended_well(capture: CaptureProcess, reason: str) -> None:
    """It ended by itself or by a signal, with exit code 0, the reason in both places, and a file that others read."""
    assert capture.process.returncode == 0, capture.log()
    assert "Traceback" not in capture.log()
    assert capture.summary["end_reason"] == reason
    assert reason in capture.log()
    assert capture.summary["complete"]
    assert_adds_up(capture.summary["account"])
    check_with_readers(capture.file, capture.summary["account"]["written"])


@pytest.mark.parametrize("hook", ["tcx", "clsact"])
def test_the_interface_is_deleted_under_load(link: VethPair, tmp_path: Path, hook: str) -> None:
    options = ["-i", "vb", "--netns", link.netns, "--hook", hook]
    with CaptureProcess(tmp_path / "f.pcapng", *options, stop=False) as capture, BothWays(link):
        wait_until(lambda: min(link.counters("vb")) > 2 * CHUNK)
        run("ip", "-n", link.netns, "link", "del", "vb")
        capture.process.wait(PATIENCE)
    ended_well(capture, "interface vb was deleted")
    assert capture.summary["account"]["written"] > CHUNK


def test_one_interface_of_two_is_deleted_and_the_other_goes_on(link: VethPair, tmp_path: Path) -> None:
    run("ip", "-n", link.netns, "link", "add", "vc", "type", "veth", "peer", "name", "vd")
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "-i", "vc", "--netns", link.netns, stop=False) as capture:
        receive(link, 1024)
        run("ip", "-n", link.netns, "link", "del", "vc")
        time.sleep(0.5)
        assert capture.process.poll() is None
        receive(link, 1024)
        run("ip", "-n", link.netns, "link", "del", "vb")
        capture.process.wait(PATIENCE)
    ended_well(capture, "interface vb, vc was deleted")
    assert [i["account"]["written"] for i in capture.summary["interfaces"]] == [2048, 0]


def test_a_deleted_pod_ends_the_capture(node: PlainNode, tmp_path: Path) -> None:
    with CaptureProcess(tmp_path / "f.pcapng", "-i", node.client.veth, "--netns", node.netns, stop=False) as capture:
        run(*node.client.exec("ping", "-c", "3", "-i", "0.05", "-q", node.server.ip4))
        run("ip", "netns", "del", node.client.netns)
        capture.process.wait(PATIENCE)
    ended_well(capture, f"interface {node.client.veth} was deleted")
    assert capture.summary["account"]["written"] >= 6


def test_the_network_namespace_is_deleted(unique: str, tmp_path: Path) -> None:
    name = f"bicap-{unique}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "add", "va", "up", "type", "veth", "peer", "name", "vb")
        with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", name, stop=False) as capture:
            run("ip", "netns", "del", name)
            capture.process.wait(PATIENCE)
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    ended_well(capture, f"network namespace {name} was deleted")


def test_a_deletion_is_seen_even_if_its_message_was_dropped(link: VethPair) -> None:
    watch = LinkWatch(link.namespace)
    try:
        watch._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        for number in range(10):
            run("ip", "-n", link.netns, "link", "set", "va", "alias", f"change {number}")
        run("ip", "-n", link.netns, "link", "del", "vb")
        assert link.vb in watch.deleted({link.vb})
        assert watch.deleted(set()) == set()
    finally:
        watch.close()


def test_an_interface_that_leaves_its_bridge_is_still_there(node: PlainNode, tmp_path: Path) -> None:
    ping = node.client.exec("ping", "-c", "3", "-i", "0.05", "-q", node.server.ip4)
    with CaptureProcess(tmp_path / "f.pcapng", "-i", node.client.veth, "--netns", node.netns, "-s", "96") as capture:
        run("ip", "-n", node.netns, "link", "set", node.client.veth, "nomaster")
        time.sleep(0.5)
        run("ip", "-n", node.netns, "link", "set", node.client.veth, "master", "br0")
        run(*ping)
    ended_well(capture, "ended by SIGINT")
    assert capture.summary["account"]["written"] >= 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_everything_drained(link: VethPair, tmp_path: Path, number: signal.Signals) -> None:
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, stop=False) as capture:
        receive(link, 50_000)
        transmit(link, 50_000)
        capture.process.send_signal(number)
    ended_well(capture, f"ended by {number.name}")
    assert capture.summary["account"]["written"] == 100_000


def test_a_signal_under_load_loses_nothing_it_has_seen(link: VethPair, tmp_path: Path) -> None:
    with (
        CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, stop=False) as capture,
        BothWays(link),
    ):
        wait_until(lambda: min(link.counters("vb")) > 2 * CHUNK)
        capture.process.terminate()
        capture.process.wait(PATIENCE)
    ended_well(capture, "ended by SIGTERM")
    assert capture.summary["account"]["seen"] == capture.summary["account"]["written"] > CHUNK


def test_repeated_signals_change_nothing(link: VethPair, tmp_path: Path) -> None:
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, stop=False) as capture:
        receive(link, 20_000)
        while capture.process.poll() is None and not Path(f"{capture.file}.json").exists():
            capture.process.send_signal(signal.SIGINT)
            capture.process.send_signal(signal.SIGTERM)
            time.sleep(0.001)
    reason = capture.summary["end_reason"]
    assert reason in ("ended by SIGINT", "ended by SIGTERM")  # of two at a time, either comes first
    ended_well(capture, reason)
    assert capture.summary["account"]["written"] == 20_000


@pytest.fixture
def stream(link: VethPair, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A capture of vb to standard output, ready."""
    ready = tmp_path / "ready"
    words = f"{BICAP} capture -i vb --netns {link.netns} -w - --ready-file {ready}"
    with subprocess.Popen(words.split(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            while not ready.exists():
                assert process.poll() is None
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def test_the_reader_of_a_live_stream_goes_away(link: VethPair, stream: "subprocess.Popen[bytes]") -> None:
    assert stream.stdout is not None
    assert stream.stderr is not None
    assert stream.stdout.read(4) == b"\x0a\x0d\x0d\x0a"
    stream.stdout.close()
    transmit(link, 100)
    assert stream.wait(PATIENCE) == 0
    told = stream.stderr.read().decode()
    assert "the reader of standard output closed it" in told
    assert "100 lost" in told
    assert "100 not written" in told
    assert "Traceback" not in told


def test_a_lone_packet_is_in_a_live_stream_within_half_a_second(
    link: VethPair, stream: "subprocess.Popen[bytes]"
) -> None:
    assert stream.stdout is not None
    descriptor = stream.stdout.fileno()
    os.set_blocking(descriptor, False)
    os.read(descriptor, 1 << 16)  # the section and its interface
    for pause in (0, 0.13, 1.01):  # whatever the reader's timers are at
        time.sleep(pause)
        watch = Stopwatch()
        transmit(link, 1)
        assert select.select([descriptor], [], [], PATIENCE)[0]
        waited = watch.seconds
        assert FROM_VB in os.read(descriptor, 1 << 16)
        assert waited < 0.5


def test_stopped_for_two_seconds_it_accounts_for_every_packet(link: VethPair, tmp_path: Path) -> None:
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, "--buffer", "1MiB") as capture:
        receive(link, 16 * 1024)
        capture.process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        while time.monotonic() - begin < 2:
            receive(link, 512 * BULK)
            transmit(link, 512 * BULK)
        capture.process.send_signal(signal.SIGCONT)
        receive(link, 16 * 1024)
    received, sent = link.counters("vb")
    account = capture.summary["account"]
    assert account["seen"] == received + sent
    assert account["lost"] == account["lost_by"]["ring_full"] > 0
    assert len(read_pcapng(capture.file).data) == account["written"]
    assert re.search(rf"lost: {account['lost']:,} ring full", capture.log())
    ended_well(capture, "ended by SIGINT")
