"""Every file that a capture can leave is read by everybody, whatever ended it and whatever is in it."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture.benchmark.senders import QueueSender, XdpSender
from capture.benchmark.veth_pair import VethPair
from testbed import packets
from testbed.patience import wait_until
from testbed.tool import BICAP, CaptureProcess, assert_adds_up, check_with_readers, read_pcapng
from testbed.two_pods import run

FRAME = packets.udp("10.0.0.1", 1000, "10.0.0.2", 2000, bytes(range(22)))


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


def send_raw(link: VethPair, frame: bytes, interface: str = "vb") -> None:
    """Queue one frame on an interface, as a local sender would."""

    def inside() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((interface, 0))
            raw.send(frame)

    link.namespace.run(inside)


def send_fast(link: VethPair, count: int, sender: type = XdpSender) -> None:
    def inside() -> None:
        fast = sender(link.va if sender is XdpSender else link.vb, FRAME)
        fast.send(count)
        fast.close()

    link.namespace.run(inside)


def arrived(link: VethPair) -> int:
    """Packets that came to vb: on a busy machine some of those that are sent fast do not."""
    (found,) = json.loads(run("ip", "-n", link.netns, "-j", "-s", "link", "show", "vb"))
    packets: int = found["stats64"]["rx"]["packets"]
    return packets


def written(file: Path) -> int:
    """Packets in a file; 0 while its last block is being written."""
    words = ["capinfos", "-Mrc", "-T", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return int(done.stdout.split()[-1]) if done.returncode == 0 else 0


def test_no_packet(link: VethPair, tmp_path: Path) -> None:
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns) as capture:
        pass
    check_with_readers(capture.file, 0)
    assert capture.summary["account"]["seen"] == 0
    assert capture.summary["end_reason"] == "ended by SIGINT"


def test_one_packet(link: VethPair, tmp_path: Path) -> None:
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns) as capture:
        send_raw(link, FRAME)
    check_with_readers(capture.file, 1)
    assert read_pcapng(capture.file).data == [FRAME]


def test_snaplen_64(link: VethPair, tmp_path: Path) -> None:
    frame = packets.udp("10.0.0.1", 1, "10.0.0.2", 2, bytes(400))
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, "-s", "64") as capture:
        send_raw(link, frame)
    check_with_readers(capture.file, 1)
    found = read_pcapng(capture.file)
    assert (found.data, found.lengths) == ([frame[:64]], [len(frame)])


@pytest.mark.parametrize(("size", "kept"), [(1500, 1500), (2041, 2041), (65_000, 65_000), (65_549, 65_448)])
def test_large_packets_are_whole_up_to_what_a_record_holds(tmp_path: Path, size: int, kept: int) -> None:
    frame = packets.ethernet(0x88B5, bytes(i % 251 for i in range(size - 14)))
    with VethPair(mtu=65_535, xdp=False) as link:
        with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns) as capture:
            send_raw(link, frame)
        check_with_readers(capture.file, 1)
        found = read_pcapng(capture.file)
        assert found.data == [frame[:kept]]
        assert found.lengths == [size]


def test_count_is_exact_and_the_rest_is_over_the_limit(link: VethPair, tmp_path: Path) -> None:
    with CaptureProcess(
        tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, "-c", "1000", stop=False
    ) as capture:
        send_fast(link, 5000)
    check_with_readers(capture.file, 1000)
    account = capture.summary["account"]
    assert_adds_up(account)
    assert account["written"] == 1000
    assert capture.summary["end_reason"] == "count reached"


def test_killed_it_is_valid_up_to_the_last_write(link: VethPair, tmp_path: Path) -> None:
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, stop=False) as capture:
        send_fast(link, 20_000)
        wait_until(lambda: 0 < arrived(link) == written(capture.file))
        capture.process.kill()
    check_with_readers(capture.file, arrived(link))
    assert not Path(f"{capture.file}.json").exists()


def test_a_full_disk_ends_it_with_a_complete_file(link: VethPair, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=2m", "bicap-test", str(disk))
    try:
        with CaptureProcess(disk / "f.pcapng", "-i", "vb", "--netns", link.netns, stop=False) as capture:
            send_fast(link, 200_000)
        assert capture.process.returncode == 6
        assert "the disk is full" in capture.log()
        check_with_readers(capture.file, capture.summary["account"]["written"])
        assert_adds_up(capture.summary["account"])
        assert capture.summary["account"]["lost_by"]["writing"] > 0
        assert "the disk is full" in capture.summary["end_reason"]
    finally:
        run("umount", str(disk))


def test_rings_too_small_lose_and_every_packet_is_accounted_for(link: VethPair, tmp_path: Path) -> None:
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, "--buffer", "256KiB") as capture:
        send_fast(link, 30_000)  # not more: tshark shows a million items of a file
        send_fast(link, 30_000, QueueSender)
    received, sent = link.counters("vb")
    account = capture.summary["account"]
    assert_adds_up(account)
    assert account["seen"] == received + sent
    assert account["lost_by"]["ring_full"] > 0
    assert len(read_pcapng(capture.file).data) == account["written"]
    check_with_readers(capture.file, account["written"])
    assert f"{account['lost']:,} lost" in capture.log()
    assert f"{account['lost_by']['ring_full']:,} ring full" in capture.log()
    shown = ["tshark", "-n", "-X", "read_format:MIME Files Format", "-r", str(capture.file), "-V"]
    blocks = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    statistics = blocks[blocks.index("Interface Statistics Block") :]
    assert str(account["lost"]) in statistics
    assert str(account["seen"]) in statistics


def test_the_section_header_describes_the_file(link: VethPair, tmp_path: Path) -> None:
    rule = ["--source", "10.0.0.1", "--destination", ":2000", "--protocol", "udp"]
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "-i", "va", "--netns", link.netns, *rule) as capture:
        send_raw(link, FRAME)
    info = subprocess.run(["capinfos", str(capture.file)], capture_output=True, text=True, check=True).stdout
    comment = json.loads(info.split("Capture comment:")[1].splitlines()[0])
    assert comment["spec"]["rules"] == ["udp 10.0.0.1 > :2000"]
    assert comment["clock"]["state"]
    assert "Capture application: bicap" in info
    assert "Name = vb" in info
    assert "Name = va" in info
    assert "Filter string = (udp and src host 10.0.0.1 and dst port 2000) or" in info


def test_a_live_stream_is_read_by_tshark(link: VethPair, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = f"{BICAP} capture -i vb --netns {link.netns} -q -w - --ready-file {ready} -c 3"
    with subprocess.Popen(command.split(), stdout=subprocess.PIPE) as stream:
        with subprocess.Popen(
            ["tshark", "-n", "-l", "-i", "-", "-T", "fields", "-e", "udp.dstport", "-e", "frame.interface_name"],
            stdin=stream.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as tshark:  # fmt: skip
            while not ready.exists():
                time.sleep(0.01)
            send_raw(link, FRAME)
            assert tshark.stdout is not None
            assert tshark.stdout.readline().split() == ["2000", "vb"]  # while the capture goes on
            assert stream.poll() is None
            send_raw(link, FRAME)
            send_raw(link, FRAME)
            assert len(tshark.stdout.readlines()) == 2
        assert stream.wait(10) == 0
