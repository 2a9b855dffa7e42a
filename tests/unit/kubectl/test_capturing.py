"""A capture from its words to its file, and the live stream; whatever ends it, nothing is left running."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from capture.retrieval.live_frames import frame
from testbed.patience import PATIENCE, wait_until
from tests.unit.kubectl.desk import Desk, ServedNode, node_file
from tests.unit.pcapng.test_joining import packet, packets_of, section

pytestmark = pytest.mark.slow
NAME = "client-x7k2p"
PODS = {"spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path) as desk:
        desk.cluster.put("pod", "client", PODS | {"metadata": {"name": "client", "namespace": "shop"}})
        desk.nodes["n1"] = ServedNode({"client-n1.pcapng": node_file("n1", range(20))})
        yield desk


def status(desk: Desk, phase: str, **more: Any) -> None:
    """Let the controller say how the capture stands."""
    complete = {"type": "Complete", "status": "True" if phase == "Complete" else "False", "reason": "Stopped"}
    told = {"phase": phase, "conditions": [complete], "packets": 20} | more
    desk.cluster.put("packetcaptures", NAME, desk.cluster.get("packetcaptures", NAME) | {"status": told})


def stop_at(desk: Desk) -> Any:
    return (desk.cluster.get("packetcaptures", NAME) or {}).get("spec", {}).get("limits", {}).get("stopAt")


def minutes_left(desk: Desk) -> float:
    """Minutes until the capture stops."""
    return (datetime.fromisoformat(stop_at(desk)) - datetime.now(UTC)).total_seconds() / 60


def is_stopped(desk: Desk) -> bool:
    """True if it stops now: while somebody follows it, it would much later."""
    return bool(stop_at(desk)) and minutes_left(desk) < 1


def close_and_wait(process: "subprocess.Popen[bytes]") -> int:
    """Close the pipe as a reader that is gone. Returns the exit code."""
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        return process.wait(PATIENCE)


def is_there(desk: Desk) -> bool:
    return desk.cluster.get("packetcaptures", NAME) is not None


def test_ctrl_c_ends_the_capture_fetches_it_and_removes_it(desk: Desk, tmp_path: Path) -> None:
    process = desk.start("capture", "pod/client", "tcp", "port", "80", "--snaplen", "100")
    wait_until(lambda: is_there(desk))
    spec = desk.cluster.get("packetcaptures", NAME)["spec"]
    assert {key: spec[key] for key in spec if key != "limits"} == {
        "target": {"pods": [{"name": "client", "namespace": "shop"}]},
        "expression": "tcp port 80",
        "sampling": {"snaplen": 100},
    }
    status(desk, "Capturing")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: is_stopped(desk))
    status(desk, "Complete")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert len(packets_of((tmp_path / f"{NAME}.pcapng").read_bytes())) == 20
    assert not is_there(desk)


def test_a_second_ctrl_c_leaves_it_and_says_how_to_go_on(desk: Desk) -> None:
    process = desk.start("capture", "pod/client")
    wait_until(lambda: is_there(desk))
    status(desk, "Capturing")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: is_stopped(desk))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert f"kubectl bicap fetch shop/{NAME} goes on" in err.decode()
    assert is_there(desk)


def test_a_capture_that_is_rejected_is_one_line_and_leaves_no_object(desk: Desk) -> None:
    process = desk.start("capture", "pod/client")
    wait_until(lambda: is_there(desk))
    accepted = {"type": "Accepted", "status": "False", "reason": "Invalid", "message": "spec.rules: too many"}
    status(desk, "Rejected", conditions=[accepted])
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert err.decode().splitlines()[-1] == "bicap: spec.rules: too many"
    assert not is_there(desk)


def test_a_detached_capture_is_left_running_and_its_name_is_printed(desk: Desk) -> None:
    assert desk.run("capture", "pod/client", "--detach", "--duration", "1h") == (0, f"shop/{NAME}\n", "")
    code, _, _ = desk.run("stop", NAME)
    assert code == 0
    assert is_stopped(desk)
    assert desk.run("rm", NAME)[:2] == (0, f"shop/{NAME} deleted\n")
    assert not is_there(desk)


def test_a_dry_run_prints_the_object_and_creates_nothing(desk: Desk) -> None:
    code, out, _ = desk.run("capture", "pod/client", "--to", ":443", "--dry-run", "--name", "mine")
    assert code == 0
    assert json.loads(out)["spec"]["rules"] == [{"destination": {"ports": [443]}}]
    assert not desk.cluster.list("packetcaptures")


class Live:
    """A node that sends a packet each 2 ms, by a clock of its own, until nobody listens."""

    def __init__(self, desk: Desk) -> None:
        self.sent = 0
        self.listening = threading.Event()
        desk.live = self.frames

    def frames(self) -> Iterator[bytes]:
        self.listening.set()
        for node in ("n1", "n2"):
            yield frame("blocks", node, section(f"shop/{node}:eth0"))
        while True:
            for node in ("n1", "n2"):
                self.sent += 1
                yield frame("blocks", node, packet(0, self.sent))
                yield frame("watermark", node, ns=self.sent)
            time.sleep(0.002)


def test_a_live_stream_is_in_order_and_ctrl_c_leaves_nothing(desk: Desk) -> None:
    live = Live(desk)
    process = desk.start("capture", "pod/client", "-w", "-")
    wait_until(live.listening.is_set)
    wait_until(lambda: live.sent > 100)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    found = packets_of(out)
    times = [ns for _, ns, _ in found]
    assert len(times) > 20
    assert times == sorted(times)
    assert {name for name, _, _ in found} == {"shop/n1:eth0", "shop/n2:eth0"}
    assert f"{len(times)} packets written, 0 left out" in err.decode()
    assert not is_there(desk)


def test_a_reader_that_closes_the_pipe_ends_the_capture(desk: Desk) -> None:
    live = Live(desk)
    process = desk.start("capture", "pod/client", "-w", "-")
    assert process.stdout is not None
    process.stdout.read(1000)
    assert close_and_wait(process) == 0
    assert live.sent
    assert not is_there(desk)


def test_a_reader_that_closes_the_pipe_before_the_first_packet_ends_it_too(desk: Desk) -> None:
    process = desk.start("capture", "pod/client", "-w", "-")
    wait_until(lambda: is_there(desk))
    assert close_and_wait(process) == 0
    assert not is_there(desk)


def test_a_stream_without_a_frame_ends_at_ctrl_c_and_gives_its_right_back(desk: Desk) -> None:
    listening, ended = threading.Event(), threading.Event()

    def frames() -> Iterator[bytes]:
        listening.set()
        ended.wait(PATIENCE)
        yield b""

    desk.live = frames
    process = desk.start("capture", "pod/client", "-w", "-")
    wait_until(listening.is_set)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    ended.set()
    assert process.returncode == 0, err
    assert not is_there(desk)


def test_a_stream_ends_when_the_capture_does(desk: Desk) -> None:
    def frames() -> Iterator[bytes]:
        yield frame("blocks", "n1", section("shop/n1:eth0") + packet(0, 5))
        yield frame("lost", "n1", packets=2)
        yield frame("ended", "n1", reason="Duration")

    desk.live = frames
    process = desk.start("capture", "pod/client", "-w", "-")
    wait_until(lambda: is_there(desk))
    status(desk, "Complete")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert [ns for _, ns, _ in packets_of(out)] == [5]
    assert "1 packet written, 2 left out" in err.decode()
    assert not is_there(desk)


def test_killing_the_plugin_ends_the_kubectls_that_it_started_and_the_capture_soon(desk: Desk) -> None:
    process = desk.start("capture", "pod/client", "-w", "-")
    wait_until(lambda: any("port-forward" in one for one in desk.processes()))
    wait_until(lambda: stop_at(desk))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    wait_until(lambda: not desk.processes())
    assert 14 < minutes_left(desk) <= 15, "nobody follows it any more"
    desk.run("rm", NAME)
    for left in desk.cluster.list("captureaccesses"):
        desk.cluster.delete("captureaccesses", left["metadata"]["name"])  # it ends by itself after ten minutes


def test_where_the_readers_are_not_installed_one_line_says_so(desk: Desk, tmp_path: Path) -> None:
    blocker = tmp_path / "without" / "sitecustomize.py"
    blocker.parent.mkdir()
    names = ("bcc", "grpc", "lightkube", "numba", "numpy", "pyroute2")
    blocker.write_text(f"import sys\nsys.modules.update(dict.fromkeys({names}))\n")
    desk.capture(NAME, packets=20)
    desk.env |= {"PYTHONPATH": str(blocker.parent), "PATH": "/usr/bin:/bin"}

    def run(*words: str) -> tuple[int, str]:
        process = desk.start(*words)
        _, err = process.communicate(timeout=PATIENCE)
        return process.returncode, err.decode()

    assert run("fetch", NAME, "--rm")[0] == 0
    code, err = run("diagnose", NAME)
    assert code == 2
    assert err.startswith("bicap: diagnose needs bicap's readers, which are not installed here; ")
    assert err.count("\n") == 1
