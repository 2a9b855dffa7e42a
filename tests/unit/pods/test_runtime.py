"""The answers and errors of a runtime -> pods, and troubles in one line each."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest

from capture.errors import BicapError, PrivilegeError, TargetError
from capture.filters.podname import PodName
from capture.pods import cri_pb2 as cri
from capture.pods.runtime import Runtime
from capture.pods.sockets import ENDPOINT, find_sockets
from capture.selection.pod import Container, Pod
from testbed.fake_runtime import FakeRuntime, fails, hangs, verbose_status

DEADLINE = 0.5


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeRuntime]:
    with FakeRuntime(tmp_path / "cri.sock") as runtime:
        yield runtime


@pytest.fixture
def runtime(fake: FakeRuntime) -> Iterator[Runtime]:
    found = Runtime(str(fake.socket), DEADLINE)
    yield found
    found.close()


def test_a_pod_combines_the_data_of_all_three_answers(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.add("shop", "web-0", "s1", ips=("10.0.0.1", "fd00::1"), info=verbose_status(7, "/var/run/netns/cni-7"))
    (pod,) = runtime.look().pods
    assert pod == Pod(
        name=PodName("shop", "web-0"),
        uid="uid-s1",
        sandbox="s1",
        ready=True,
        created_ns=7,
        labels={"app": "web-0"},
        addresses=(ip_address("10.0.0.1"), ip_address("fd00::1")),
        netns="/var/run/netns/cni-7",
        pid=7,
        containers=(Container("web", "c-s1", running=True),),
        socket=str(fake.socket),
    )


def test_pods_are_in_the_order_of_their_names(fake: FakeRuntime, runtime: Runtime) -> None:
    for number, (namespace, name) in enumerate([("b", "a"), ("a", "z"), ("a", "b")]):
        fake.add(namespace, name, f"s{number}")
    assert [str(pod.name) for pod in runtime.look().pods] == ["a/b", "a/z", "b/a"]


def test_the_network_namespace_is_the_one_the_runtime_reports_or_that_of_the_process(
    fake: FakeRuntime, runtime: Runtime
) -> None:
    fake.add("a", "said", "s1", info=verbose_status(7, "/run/netns/x"))
    fake.add("b", "of the process", "s2", info=verbose_status(8, None))
    fake.add("c", "of the node", "s3", info=verbose_status(9, None), mode=cri.NODE, ips=())
    fake.add("d", "stopped", "s4")
    fake.sandboxes["s4"].state = cri.SANDBOX_NOTREADY
    said, process, node, stopped = runtime.look().pods
    assert (said.netns, process.netns, node.netns, stopped.netns) == ("/run/netns/x", "/proc/8/ns/net", None, None)
    assert [pod.host_network for pod in (said, process, node, stopped)] == [False, False, True, False]
    assert [pod.state for pod in (said, stopped)] == ["Ready", "NotReady"]


def test_a_pods_status_is_requested_once_while_its_state_lasts(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.add("shop", "web-0", "s1")
    first = runtime.look()
    assert runtime.look() == first
    assert fake.calls.count("PodSandboxStatus") == 1
    fake.sandboxes["s1"].state = cri.SANDBOX_NOTREADY
    (stopped,) = runtime.look().pods
    assert stopped == replace(first.pods[0], ready=False, netns=None)
    assert fake.calls.count("PodSandboxStatus") == 2


def test_a_pod_that_is_removed_meanwhile_is_not_a_trouble(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.add("shop", "web-0", "s1")
    fake.add("shop", "web-1", "s2")
    del fake.statuses["s1"]
    listing = runtime.look()
    assert [str(pod.name) for pod in listing.pods] == ["shop/web-1"]
    assert listing.troubles == ()


NONSENSE = {
    "no JSON": {"info": {"info": "{"}},
    "JSON of another form": {"info": {"info": "[1]"}},
    "a pid that is none": {"info": {"info": '{"pid": "x"}'}},
    "an address that is none": {"ips": ("10.0.0.256",)},
}


@pytest.mark.parametrize("lie", NONSENSE.values(), ids=NONSENSE.keys())
def test_a_status_that_makes_no_sense_is_reported_and_other_pods_are_listed(
    fake: FakeRuntime, runtime: Runtime, lie: dict[str, object]
) -> None:
    fake.add("shop", "web-0", "s1", **lie)  # type: ignore[arg-type]
    fake.add("shop", "web-1", "s2")
    listing = runtime.look()
    assert [str(pod.name) for pod in listing.pods] == ["shop/web-1"]
    (trouble,) = listing.troubles
    assert trouble.startswith(f"pod shop/web-0: {fake.socket} gives a status that makes no sense")
    assert "\n" not in trouble


def test_a_runtime_without_verbose_status_is_accepted(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.add("shop", "web-0", "s1", info={})
    (pod,) = runtime.look().pods
    assert (pod.pid, pod.netns) == (None, None)


REFUSALS = [
    (hangs, TargetError, "hangs"),
    (fails(grpc.StatusCode.UNIMPLEMENTED, "unknown service"), TargetError, "does not speak CRI v1"),
    (fails(grpc.StatusCode.PERMISSION_DENIED, "no"), PrivilegeError, "run as root"),
    (fails(grpc.StatusCode.INTERNAL, "disk on fire"), TargetError, "disk on fire (INTERNAL)"),
]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ListPodSandbox", "ListContainers"])
@pytest.mark.parametrize(("does", "error", "message"), REFUSALS, ids=[case[2] for case in REFUSALS])
def test_a_refusal_of_the_runtime_is_one_clear_line(
    fake: FakeRuntime, runtime: Runtime, method: str, does: object, error: type[BicapError], message: str
) -> None:
    fake.instead[method] = does  # type: ignore[assignment]
    with pytest.raises(error) as raised:
        runtime.look()
    assert message in str(raised.value)
    assert str(fake.socket) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_status_that_hangs_does_not_delay_other_pods(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.add("shop", "web-0", "s1")
    first = runtime.look()
    for number in range(2, 6):
        fake.add("shop", f"web-{number}", f"s{number}")
    fake.instead["PodSandboxStatus"] = hangs
    listing = runtime.look()
    assert listing.pods == first.pods
    assert len(listing.troubles) == 4
    assert all("hangs" in trouble for trouble in listing.troubles)


@pytest.mark.parametrize("services", [("cri",), ("containerd",)])
def test_events_come_as_they_happen(tmp_path: Path, services: tuple[str, ...]) -> None:
    with FakeRuntime(tmp_path / "cri.sock", event_services=services) as fake:
        runtime = Runtime(str(fake.socket), DEADLINE)
        changes = runtime.changes()
        next(changes)
        for _ in range(3):
            fake.changed.release()
            next(changes)
        threading.Timer(0.1, runtime.close).start()
        with pytest.raises(TargetError):
            list(changes)


def test_calls_after_close_raise_an_error(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.instead["ListPodSandbox"] = hangs
    threading.Timer(0.1, runtime.close).start()
    for ask in (runtime.look, runtime.look, lambda: list(runtime.changes())):
        with pytest.raises(TargetError):
            ask()


def test_a_runtime_without_events_raises_not_implemented(tmp_path: Path) -> None:
    with FakeRuntime(tmp_path / "cri.sock", event_services=()) as fake:
        runtime = Runtime(str(fake.socket), DEADLINE)
        with pytest.raises(NotImplementedError):
            list(runtime.changes())
        runtime.close()


def test_a_socket_without_a_listener_is_one_clear_line(tmp_path: Path) -> None:
    with FakeRuntime(tmp_path / "cri.sock") as fake:
        pass
    runtime = Runtime(str(fake.socket), DEADLINE)
    with pytest.raises(TargetError, match="does not answer"):
        runtime.look()
    with pytest.raises(TargetError, match="does not answer"):
        _ = runtime.pid
    runtime.close()


def test_sockets_are_the_requested_ones_or_that_of_the_environment(
    fake: FakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_sockets([str(fake.socket)]) == (str(fake.socket),)
    monkeypatch.setenv(ENDPOINT, f"unix://{fake.socket}")
    assert find_sockets() == (str(fake.socket),)
    with pytest.raises(TargetError, match=r"does not exist \(No such file or directory\)"):
        find_sockets([str(tmp_path / "missing")])
    with pytest.raises(TargetError, match="is not a socket"):
        find_sockets([__file__])
