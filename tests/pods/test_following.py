"""Pods that come, go, and come again while a capture runs; nothing of the others is lost by it."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from capture.errors import AttachError, TargetError
from testbed.patience import PATIENCE, Stopwatch, calm_sleep, wait_until
from testbed.tool import BICAP, CaptureProcess, assert_adds_up, bicap, check_with_readers
from testbed.two_pods import run
from tests.pods.conftest import Pods
from tests.pods.named_packets import seen
from tests.pods.numbered import Numbered, numbers


def ended(name: str) -> re.Pattern[str]:
    """Of a pod that is removed the runtime may say that it is no more before its interface is gone, or after that."""
    return re.compile(f"{re.escape(name)} (was deleted|was removed)")


def until(log: Callable[[], str], *texts: str | re.Pattern[str]) -> float:
    """Wait until a capture has said all of these; how long that took on a calm machine."""
    watch = Stopwatch()
    wanted = [text if isinstance(text, re.Pattern) else re.compile(re.escape(text)) for text in texts]
    wait_until(lambda: all(text.search(log()) for text in wanted), lambda: f"{texts} not in: {log()}")
    return watch.seconds


def test_a_pod_that_is_made_again_has_both_lives_in_the_file(pods: Pods, tmp_path: Path) -> None:
    first, peer = pods("shop", "web-0"), pods("bank", "api-0")
    file = tmp_path / "f.pcapng"
    with CaptureProcess(file, "--cri-socket", pods.node.socket, "--pod", "shop/web-0") as capture:
        one = Numbered(first, peer.ips[0], 0.3).total()
        pods.remove(first)
        until(capture.log, ended("shop/web-0:eth0"))
        second = pods("shop", "web-0")
        until(capture.log, "shop/web-0:eth0#2 was added")
        two = Numbered(second, peer.ips[0], 0.3).total()
    check_with_readers(file)
    assert numbers(file, "shop/web-0:eth0") == list(range(one))
    assert numbers(file, "shop/web-0:eth0#2") == list(range(two))
    lives = capture.summary["interfaces"]
    assert [(life["name"], life["pod"]["uid"]) for life in lives] == [
        ("shop/web-0:eth0", first.uid),
        ("shop/web-0:eth0#2", second.uid),
    ]
    assert lives[0]["ended_ns"] < lives[1]["began_ns"]
    assert lives[1]["ended_ns"] is None
    went, came = [event["event"].partition(",")[0] for event in capture.summary["events"]]
    assert ended("shop/web-0:eth0").fullmatch(went)
    assert came == "shop/web-0:eth0#2 was added"
    for life in lives:
        assert_adds_up(life["account"])


def test_a_new_pod_is_caught_within_a_second(pods: Pods, tmp_path: Path) -> None:
    pods("shop", "web-0", app="web")
    peer = pods("bank", "api-0")
    file = tmp_path / "f.pcapng"
    with CaptureProcess(file, "--cri-socket", pods.node.socket, "-l", "app=web") as capture:
        took = []
        for number in range(1, 4):
            pod = pods("shop", f"web-{number}", app="web")
            took.append(until(capture.log, f"shop/web-{number}:eth0 was added"))
            pods.node.get(pod, peer.ips[0])
    assert max(took) < 1.0
    talkers = {packet.interface for packet in seen(file, "http.request")}
    assert talkers == {f"shop/web-{number}:eth0" for number in range(1, 4)}


def test_from_two_pods_to_twenty_and_nothing_of_the_first_is_lost(pods: Pods, tmp_path: Path) -> None:
    first = [pods("shop", f"web-{number}", app="web") for number in range(2)]
    file = tmp_path / "f.pcapng"
    with CaptureProcess(file, "--cri-socket", pods.node.socket, "-l", "app=web") as capture:
        flow = Numbered(first[0], first[1].ips[0], 9)
        more = [pods("shop", f"web-{number}", app="web") for number in range(2, 20)]
        until(capture.log, *(f"shop/web-{number}:eth0 was added" for number in range(2, 20)))
        for pod in more[:9]:
            pods.remove(pod)
        until(capture.log, *(ended(f"{pod}:eth0") for pod in more[:9]))
        total = flow.total()
    check_with_readers(file)
    assert numbers(file, "shop/web-0:eth0") == list(range(total))
    assert numbers(file, "shop/web-1:eth0") == list(range(total))
    interfaces = capture.summary["interfaces"]
    assert sorted(i["name"] for i in interfaces) == sorted(f"shop/web-{number}:eth0" for number in range(20))
    assert sum(i["ended_ns"] is None for i in interfaces) == 11
    assert capture.summary["account"]["lost"] == 0


def test_a_peers_new_address_is_in_the_filter_and_the_others_go_on(pods: Pods, tmp_path: Path) -> None:
    web, other = pods("shop", "web-0"), pods("shop", "web-1")
    api = pods("bank", "api-0")
    file = tmp_path / "f.pcapng"
    asked = "--source shop/web-0 --destination bank/api-0 --source shop/web-0 --destination shop/web-1"
    with CaptureProcess(file, "--cri-socket", pods.node.socket, *asked.split()) as capture:
        flow = Numbered(web, other.ips[0], 6)
        pods.node.get(web, api.ips[0])
        pods.remove(api)
        api = pods("bank", "api-0")
        calm_sleep(1.0)
        pods.node.get(web, api.ips[0])
        pods.node.get(web, pods("bank", "unrelated").ips[0])
        total = flow.total()
    assert numbers(file, "shop/web-0:eth0") == list(range(total))
    assert [packet.destination for packet in seen(file, "http.request")] == ["bank/api-0", "bank/api-0"]
    assert [packet.source for packet in seen(file, "http.response")] == ["bank/api-0", "bank/api-0"]
    assert [i["name"] for i in capture.summary["interfaces"]] == ["shop/web-0:eth0"]


def test_wait_says_that_it_captures_only_when_it_does(pods: Pods, tmp_path: Path) -> None:
    peer = pods("bank", "api-0")
    file, log = tmp_path / "f.pcapng", tmp_path / "log"
    command = [BICAP, "capture", "-w", str(file), "--cri-socket", pods.node.socket, "--pod", "shop/web-0", "--wait"]
    with log.open("w") as told:
        process = subprocess.Popen([*command, "--ready-file", str(tmp_path / "ready")], stderr=told)
    until(log.read_text, "waiting for pod shop/web-0")
    time.sleep(0.5)
    assert "capturing on" not in log.read_text()
    assert not (tmp_path / "ready").exists()
    web = pods("shop", "web-0")
    assert until(log.read_text, "capturing on shop/web-0:eth0") < 2.0
    assert (tmp_path / "ready").exists()
    pods.node.get(web, peer.ips[0])
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert len(seen(file, "http.request")) == 1
    assert "1 packets" not in log.read_text()


def test_a_capture_that_waits_sleeps_and_ends_when_it_should_stop(pods: Pods, tmp_path: Path) -> None:
    command = [BICAP, "capture", "-w", str(tmp_path / "f.pcapng"), "--cri-socket", pods.node.socket]
    for seconds in (6, 20, 60):  # where CPUs are busy, a start takes longer than the first
        stop_at = f"{datetime.now() + timedelta(seconds=seconds):%H:%M:%S}"
        process = subprocess.Popen(
            [*command, "--pod", "no/where", "--wait", "--stop-at", stop_at], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        first = process.stderr.readline()
        if first != "bicap: stop-at is in the past\n":
            break
        process.communicate()
    assert first == "bicap: waiting for pod no/where\n"
    pods("shop", "web-0")  # news, and none that it waits for
    began, before = time.monotonic(), cpu_seconds(process.pid)
    time.sleep(1.5)
    assert cpu_seconds(process.pid) - before < 0.5 * (time.monotonic() - began)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == TargetError.exit_code
    assert said == "bicap: nothing was captured: time to stop reached while waiting for pod no/where\n"


def cpu_seconds(pid: int) -> float:
    """What a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_pod_whose_interface_takes_no_program_does_not_end_the_capture_of_others(
    pods: Pods, tmp_path: Path
) -> None:
    web = pods("shop", "web-0")
    before = {link["ifname"] for link in pods.node.links()}
    refusing = pods("shop", "web-1")
    (veth,) = {link["ifname"] for link in pods.node.links()} - before
    run("tc", "-n", pods.node.netns, "qdisc", "add", "dev", veth, "ingress")
    file, other = tmp_path / "f.pcapng", tmp_path / "other.pcapng"
    asked = ["--cri-socket", pods.node.socket, "--hook", "clsact"]
    done = bicap("capture", *asked, "--pod", "shop/web-1", "-w", str(other))
    assert (done.code, done.stderr.count("\n")) == (AttachError.exit_code, 1)
    with CaptureProcess(file, *asked, "--all-pods") as capture:
        assert pods.node.get(web, refusing.ips[0]) == "hello from shop/web-1"
    (event,) = capture.summary["events"]
    assert event["event"].startswith(f"shop/web-1:eth0 is not captured: {veth} has an ingress qdisc")
    assert {packet.interface for packet in seen(file, "http")} == {"shop/web-0:eth0"}


def test_a_capture_that_waits_in_vain_leaves_an_earlier_file_as_it_was(pods: Pods, tmp_path: Path) -> None:
    file, log = tmp_path / "f.pcapng", tmp_path / "log"
    file.write_text("earlier")
    command = [BICAP, "capture", "-w", str(file), "--cri-socket", pods.node.socket, "--pod", "no/where", "--wait"]
    with log.open("w") as told:
        process = subprocess.Popen(command, stderr=told)
    until(log.read_text, "waiting for pod no/where")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == TargetError.exit_code
    assert log.read_text().splitlines() == [
        "bicap: waiting for pod no/where",
        "bicap: nothing was captured: ended by SIGTERM while waiting for pod no/where",
    ]
    assert file.read_text() == "earlier"
