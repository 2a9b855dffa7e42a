"""A burst on one CPU while nobody reads: it may fill most of --buffer, and nothing of it is lost or out of order."""

import os
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture import Capture, CaptureSpec, Summary, open_sink, plan_capture
from capture.benchmark.veth_pair import VethPair
from capture.kernel.counters import online_cpus
from testbed.tool import check_with_readers, read_pcapng
from tests.conftest import SEED
from tests.e2e.veth_load import BULK, receive

BUFFER = 8 << 20

pytestmark = pytest.mark.skipif(len(online_cpus()) < 2, reason="a single CPU has the whole buffer as its ring")


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair(mtu=65_535, xdp=False) as link:
        yield link


def summary_of(capture: Capture) -> Summary:
    assert capture.summary is not None
    return capture.summary


def send(link: VethPair, frames: list[bytes], cpu: int) -> None:
    """Send frames from va; a packet socket's are received by vb on the same CPU."""

    def inside() -> None:
        os.sched_setaffinity(0, {cpu})
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("va", 0))
            for frame in frames:
                sender.send(frame)

    thread = threading.Thread(target=lambda: link.namespace.run(inside))
    thread.start()
    thread.join()


def test_one_cpu_can_use_most_of_the_buffer(tmp_path: Path) -> None:
    with VethPair() as link:
        plan = plan_capture(CaptureSpec(interfaces=("vb",), netns=link.netns, buffer_bytes=BUFFER))
        assert plan.overflow_bytes == BUFFER // 2
        count = plan.room_bytes * 95 // 100 // 112 // BULK * BULK  # blocks have 108 bytes
        with Capture(plan, open_sink(tmp_path / "f.pcapng")) as capture:
            receive(link, count, cpu=plan.cpus[0])
            capture.stop("all was sent")
            capture.run()
    summary = summary_of(capture)
    assert (summary.total.both.written, summary.total.both.lost) == (count, 0)
    assert summary.late == 0
    assert summary.as_json()["overflow"]["most_waiting"] > BUFFER * 4 // 10
    assert any(line.startswith("rings overflowed: ") for line in summary.lines())
    check_with_readers(tmp_path / "f.pcapng", count)


def test_frames_of_all_sizes_are_there_byte_for_byte_in_their_order(link: VethPair, tmp_path: Path) -> None:
    rng = random.Random(f"{SEED} overflow")
    plan = plan_capture(CaptureSpec(interfaces=("vb",), netns=link.netns, buffer_bytes=BUFFER))
    frames: list[bytes] = []
    while sum(map(len, frames)) < plan.ring_bytes * 4 // 3:
        size = rng.choice((rng.randint(15, 200), rng.randint(15, 5000), rng.randint(15, 65_000)))
        frames.append(bytes(12) + b"\x88\xb5" + rng.randbytes(size - 14))
    with Capture(plan, open_sink(tmp_path / "f.pcapng")) as capture:
        for cpu in plan.cpus[:2]:
            send(link, frames, cpu)
        capture.stop("all was sent")
        capture.run()
    assert summary_of(capture).total.both.lost == 0
    assert summary_of(capture).as_json()["overflow"]["bytes"] > 0
    assert read_pcapng(tmp_path / "f.pcapng").data == frames * 2
