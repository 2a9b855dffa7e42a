"""Pods that come and go by the dozen -> files that stay valid, and a process that stays as small as it was."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from testbed.fake_runtime import FakeRuntime, verbose_status
from testbed.patience import wait_until
from testbed.tool import CaptureProcess, assert_adds_up, check_with_readers
from testbed.two_pods import PlainNode, run, two_pods
from tests.pods.test_following import until


@contextlib.contextmanager
def short_lived(node: PlainNode, fake: FakeRuntime, number: int) -> Iterator[str]:
    """A pod with a veth of an ifindex that the one before had, too, which the kernel would not do by itself."""
    name = f"{node.netns}-{number}"
    run("ip", "netns", "add", name)
    ip = f"10.77.0.{10 + number}"
    try:
        veth = ["ip", "-n", node.netns, "link", "add", f"veth{number}", "index", "4321", "type", "veth"]
        run(*veth, "peer", "name", "eth0", "netns", name)
        run("ip", "-n", node.netns, "link", "set", f"veth{number}", "master", "br0", "up")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "addr", "add", f"{ip}/24", "dev", "eth0")
        fake.add(
            "shop",
            f"web-{number}",
            f"s{number}",
            ips=(ip,),
            info=verbose_status(netns=f"/run/netns/{name}"),
        )
        fake.changed.release()
        yield name
    finally:
        fake.sandboxes.pop(f"s{number}", None)
        fake.changed.release()
        run("ip", "-n", node.netns, "link", "del", f"veth{number}")
        run("ip", "netns", "del", name)


def held(pid: int) -> tuple[int, int]:
    """Descriptors and threads that a process keeps: the fewest in a second, as each look at the node has one more."""
    readings = []
    for _ in range(20):
        readings.append((len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))))
        time.sleep(0.05)
    return min(readings)


def test_pods_that_went_leave_nothing_behind(unique: str, tmp_path: Path) -> None:
    rounds = 12
    file = tmp_path / "f.pcapng"
    with two_pods(f"c{unique}") as node, FakeRuntime(tmp_path / "cri.sock") as fake:
        fake.add("bank", "api-0", "s-api", info=verbose_status(netns=f"/run/netns/{node.server.netns}"))
        with CaptureProcess(file, "--cri-socket", str(fake.socket), "--all-pods", "--netns", node.netns) as capture:
            before = 0, 0
            for number in range(rounds):
                with short_lived(node, fake, number) as netns:
                    until(capture.log, f"shop/web-{number}:eth0 was added")
                    ping = ["ip", "netns", "exec", netns, "ping", "-c", "2", "-i", "0.05", "-q", node.server.ip4]
                    subprocess.run(ping, check=True, capture_output=True)
                until(capture.log, f"shop/web-{number}:eth0 w")
                if number == 0:  # its threads have begun
                    before = held(capture.process.pid)
            # The runtime's client may begin a thread late; what a pod leaves behind would be there for each of 11.
            process = capture.process.pid
            wait_until(lambda: all(now < then + rounds // 2 for now, then in zip(held(process), before, strict=True)))
    check_with_readers(file)
    lives = capture.summary["interfaces"]
    assert [life["name"] for life in lives] == ["bank/api-0:eth0", *(f"shop/web-{n}:eth0" for n in range(rounds))]
    assert {life["ifindex"] for life in lives[1:]} == {4321}
    for life in lives[1:]:
        assert life["account"]["written"] >= 4
        assert_adds_up(life["account"])
