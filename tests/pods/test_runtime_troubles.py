"""A runtime that dies, hangs, refuses and lies -> a capture that goes on, and says once what is not there."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from capture.pods.sockets import ENDPOINT
from testbed.fake_runtime import FakeRuntime, fails, hangs, verbose_status
from testbed.patience import PATIENCE, Stopwatch, wait_until
from testbed.runtime_api import RuntimeApi
from testbed.tool import BICAP, CaptureProcess, Finished, assert_adds_up, bicap
from testbed.two_pods import PlainNode, two_pods
from tests.pods.containerd_node import ContainerdNode
from tests.pods.numbered import Numbered, numbers
from tests.pods.test_following import until
from tests.pods.test_node import kill_containerd


def start_again(node: ContainerdNode) -> None:
    """Another containerd for a node whose own was killed; it ends with the node."""
    folder = Path(node.socket).parent
    command = ["nsenter", f"--net=/run/netns/{node.netns}", "containerd", "-c", str(folder / "config.toml")]
    with (folder / "log").open("a") as log:
        subprocess.run(["setsid", "--fork", *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=True)
    deadline = time.monotonic() + PATIENCE
    while True:
        api = RuntimeApi(node.socket)
        try:
            api("ListPodSandbox")
            return
        except grpc.RpcError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        finally:
            api.close()


def test_a_capture_outlives_its_runtime_and_follows_the_next(
    make_node: Callable[..., ContainerdNode], tmp_path: Path
) -> None:
    node = make_node()
    web, api = node.run("shop", "web-0", {"app": "web"}), node.run("bank", "api-0")
    file = tmp_path / "f.pcapng"
    with CaptureProcess(file, "--cri-socket", node.socket, "-l", "app=web") as capture:
        flow = Numbered(web, api.ips[0], 8)
        kill_containerd(Path(node.socket).parent)
        time.sleep(5)
        start_again(node)
        node.run("shop", "web-1", {"app": "web"})
        assert until(capture.log, "shop/web-1:eth0 was added") < 2.0
        total = flow.total()
    assert numbers(file, "shop/web-0:eth0") == list(range(total))
    assert [event["event"].partition(",")[0] for event in capture.summary["events"]] == [
        f"the container runtime at {node.socket} does not answer (no connection); is it running?",
        "shop/web-1:eth0 was added",
    ]
    assert [life["ended_ns"] for life in capture.summary["interfaces"]] == [None, None]
    assert_adds_up(capture.summary["account"])


@pytest.fixture
def plain(unique: str) -> Iterator[PlainNode]:
    """A node without a runtime."""
    with two_pods(f"p{unique}") as found:
        yield found


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeRuntime]:
    """A runtime without events: what it says is asked for every second."""
    with FakeRuntime(tmp_path / "cri.sock", event_services=()) as runtime:
        yield runtime


def client_of(node: PlainNode, fake: FakeRuntime) -> None:
    fake.add(
        "shop", "web-0", "s0", ips=(node.client.ip4,), info=verbose_status(netns=f"/run/netns/{node.client.netns}")
    )


LIES = {
    # what the runtime tells as a pod's network namespace, what the capture says of it
    "a path that leads nowhere": (
        "/run/netns/cni-gone",
        "pod shop/web-1 is left out: network namespace /run/netns/cni-gone does not exist; "
        "`ip netns` lists the named ones",
    ),
    "a file": (
        __file__,
        f"pod shop/web-1 is left out: {__file__} is not a network namespace; `ip netns` lists the named ones",
    ),
    "another kind of namespace": (
        "/proc/self/ns/mnt",
        "pod shop/web-1 is left out: /proc/self/ns/mnt is not a network namespace; `ip netns` lists the named ones",
    ),
    "a pipe": (
        "{folder}/pipe",
        "pod shop/web-1 is left out: {folder}/pipe is not a network namespace; `ip netns` lists the named ones",
    ),
    "the node's own": (
        "/run/netns/{node}",
        "pod shop/web-1 is left out: the runtime reports the node's own network namespace for it",
    ),
    "another pod's": (
        "/run/netns/{node}-client",
        "shop/web-1:eth0 is left out: veth-client is captured already, as shop/web-0:eth0",
    ),
    "none": (None, "pod shop/web-1 is left out: the runtime does not report its network namespace"),
}


@pytest.mark.parametrize(("netns", "says"), LIES.values(), ids=LIES.keys())
def test_a_lie_about_a_pod_is_said_once_and_the_others_are_followed(
    plain: PlainNode, tmp_path: Path, netns: str | None, says: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    known = {"folder": tmp_path, "node": plain.netns}
    file = tmp_path / "f.pcapng"
    with FakeRuntime(tmp_path / "cri.sock") as fake:
        client_of(plain, fake)
        with CaptureProcess(file, "--cri-socket", str(fake.socket), "--all-pods", "--netns", plain.netns) as capture:
            lie = verbose_status(0 if netns is None else 1, netns.format(**known) if netns else None)
            fake.add("shop", "web-1", "s1", ips=("10.77.0.9",), info=lie)
            fake.changed.release()
            until(capture.log, "left out")
            server = f"/run/netns/{plain.server.netns}"
            fake.add("shop", "web-2", "s2", ips=(plain.server.ip4,), info=verbose_status(netns=server))
            fake.changed.release()
            until(capture.log, "shop/web-2:eth0 was added")
            time.sleep(0.5)  # it is looked again
    assert [event["event"] for event in capture.summary["events"]] == [
        says.format(**known),
        "shop/web-2:eth0 was added, on veth-server",
    ]


TROUBLES = {
    "it hangs": (hangs, "hangs: it accepted the request and did not answer in time"),
    "it answers with an error": (
        fails(grpc.StatusCode.INTERNAL, "disk on fire"),
        "answers with an error: disk on fire (INTERNAL)",
    ),
}


@pytest.mark.parametrize(("does", "says"), TROUBLES.values(), ids=TROUBLES.keys())
@pytest.mark.parametrize("events", [(), ("containerd",)], ids=["without events", "with events"])
def test_a_trouble_is_said_once_and_what_came_meanwhile_is_found_after_it(
    plain: PlainNode, tmp_path: Path, does: Callable[[grpc.ServicerContext], None], says: str, events: tuple[str, ...]
) -> None:
    file = tmp_path / "f.pcapng"
    with FakeRuntime(tmp_path / "cri.sock", event_services=events) as fake:
        client_of(plain, fake)
        with CaptureProcess(file, "--cri-socket", str(fake.socket), "--all-pods", "--netns", plain.netns) as capture:
            time.sleep(0.6)
            fake.instead["ListPodSandbox"] = does
            fake.changed.release()
            until(capture.log, says)
            time.sleep(2)
            fake.add("shop", "web-1", "s1", info=verbose_status(netns=f"/run/netns/{plain.server.netns}"))
            del fake.instead["ListPodSandbox"]
            until(capture.log, "shop/web-1:eth0 was added")
    assert [event["event"] for event in capture.summary["events"]] == [
        f"the container runtime at {fake.socket} {says}",
        "shop/web-1:eth0 was added, on veth-server",
    ]


def test_pods_that_a_runtime_forgets_and_remembers_are_there_again(
    plain: PlainNode, fake: FakeRuntime, tmp_path: Path
) -> None:
    client_of(plain, fake)
    file = tmp_path / "f.pcapng"
    with CaptureProcess(
        file, "--cri-socket", str(fake.socket), "--pod", "shop/web-0", "--netns", plain.netns
    ) as capture:
        sandbox = fake.sandboxes.pop("s0")
        until(capture.log, "shop/web-0:eth0 was removed")
        fake.sandboxes["s0"] = sandbox
        until(capture.log, "shop/web-0:eth0#2 was added")
    assert [life["ended_ns"] is None for life in capture.summary["interfaces"]] == [False, True]
    assert {life["interface"] for life in capture.summary["interfaces"]} == {plain.client.veth}


def test_a_socket_that_is_made_anew_is_connected_to(plain: PlainNode, tmp_path: Path) -> None:
    file, path = tmp_path / "f.pcapng", tmp_path / "cri.sock"
    with FakeRuntime(path) as first:
        client_of(plain, first)
        capture = CaptureProcess(file, "--cri-socket", str(path), "--all-pods", "--netns", plain.netns)
    with capture:
        until(capture.log, "does not answer")
        path.unlink(missing_ok=True)
        time.sleep(1.5)
        with FakeRuntime(path) as second:
            client_of(plain, second)
            second.add("shop", "web-1", "s1", info=verbose_status(netns=f"/run/netns/{plain.server.netns}"))
            until(capture.log, "shop/web-1:eth0 was added")
    assert [life["name"] for life in capture.summary["interfaces"]] == ["shop/web-0:eth0", "shop/web-1:eth0"]


def test_of_two_runtimes_one_may_be_dead(plain: PlainNode, fake: FakeRuntime, tmp_path: Path) -> None:
    client_of(plain, fake)
    leave_socket(tmp_path / "dead.sock")
    sockets = ["--cri-socket", str(tmp_path / "dead.sock"), "--cri-socket", str(fake.socket)]
    with CaptureProcess(tmp_path / "f.pcapng", *sockets, "--all-pods", "--netns", plain.netns) as capture:
        until(capture.log, "does not answer")
    assert [life["name"] for life in capture.summary["interfaces"]] == ["shop/web-0:eth0"]
    assert len(capture.summary["events"]) == 1


def leave_socket(path: Path) -> None:
    """A socket that nobody listens to."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


def at_start(*words: str, env: dict[str, str] | None = None) -> Finished:
    return bicap("capture", "--all-pods", *words, "-w", "/dev/null", env=env)


def test_a_runtime_that_cannot_be_asked_is_one_line_at_the_start(fake: FakeRuntime, tmp_path: Path) -> None:
    refusing, missing = tmp_path / "refusing.sock", tmp_path / "missing.sock"
    leave_socket(refusing)
    does_not = f"bicap: the container runtime at {refusing} does not answer (no connection); is it running?\n"
    done = at_start("--cri-socket", str(refusing))
    assert (done.code, done.stderr) == (3, does_not)
    done = at_start(env={ENDPOINT: f"unix://{refusing}"})
    assert (done.code, done.stderr) == (3, does_not)
    done = at_start("--cri-socket", str(missing))
    assert done.code == 3
    assert done.stderr.startswith(f"bicap: the container runtime's socket {missing} does not exist")
    fake.instead["ListContainers"] = hangs
    done = at_start("--cri-socket", str(fake.socket))
    assert (done.code, done.stderr.count("\n")) == (3, 1)
    assert "hangs" in done.stderr


def test_ctrl_c_while_the_runtime_hangs_ends_it_at_once(fake: FakeRuntime, tmp_path: Path) -> None:
    fake.instead["ListContainers"] = hangs
    file = tmp_path / "f.pcapng"
    command = [BICAP, "capture", "--all-pods", "--cri-socket", str(fake.socket), "-w", str(file)]
    # A shell's background job has SIGINT ignored, and so have its children.
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    wait_until(lambda: "ListContainers" in fake.calls)
    watch = Stopwatch()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert watch.seconds < 2.0
    assert (process.returncode, said.strip()) == (1, "Aborted!")
    assert not file.exists()
