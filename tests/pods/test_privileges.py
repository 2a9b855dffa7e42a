"""Root with few capabilities -> captures of pods that work with those documented, and name one that is missing."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from capture.errors import PrivilegeError
from capture.kernel.features import capabilities_in
from testbed.tool import CaptureProcess, assert_adds_up, bicap
from tests.pods.conftest import Pods
from tests.pods.containerd_node import RealPod
from tests.pods.named_packets import both_ways, conversations, seen
from tests.pods.test_following import until

ENOUGH = ("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_IPC_LOCK")


def root_with(*capabilities: str) -> list[str]:
    """Words before a command: it runs as root, as in a container whose securityContext adds just these."""
    bounding = ["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in capabilities)]
    return ["setpriv", "--inh-caps=-all", f"--bounding-set={','.join(bounding)}", "--"]


def in_pod(pod: RealPod) -> list[str]:
    """Words before a command: it runs in a pod's network, with what the downward API tells a sidecar."""
    return ["nsenter", f"--net={pod.netns}", "env", f"POD_NAMESPACE={pod.namespace}", f"POD_NAME={pod.name}"]


def held_by(pid: int) -> dict[int, frozenset[str]]:
    """What each thread of a process has, by its number."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return {int(thread.name): capabilities_in((thread / "status").read_text()) for thread in threads}


def test_pods_are_captured_and_followed_with_few_capabilities(pods: Pods, tmp_path: Path) -> None:
    web, api = pods("shop", "web-0", app="web"), pods("bank", "api-0")
    file = tmp_path / "f.pcapng"
    within = [*pods.node.within(), *root_with(*ENOUGH)]
    with CaptureProcess(file, "--cri-socket", pods.node.socket, "-l", "app=web", within=within) as capture:
        later = pods("shop", "web-1", app="web")
        until(capture.log, "shop/web-1:eth0 was added")
        for pod in (web, later):
            pods.node.get(pod, api.ips[0])
        held = held_by(capture.process.pid)
    assert held.pop(capture.process.pid) == set(ENOUGH) - {"CAP_IPC_LOCK"}
    assert all(threads <= set(ENOUGH) for threads in held.values())
    assert {packet.interface for packet in seen(file, "http.request")} == {"shop/web-0:eth0", "shop/web-1:eth0"}
    assert_adds_up(capture.summary["account"])


def test_a_sidecar_captures_its_own_pod_and_keeps_no_capability(pods: Pods, tmp_path: Path) -> None:
    web, api = pods("shop", "web-0"), pods("bank", "api-0")
    file = tmp_path / "f.pcapng"
    with CaptureProcess(file, "--self", within=[*in_pod(web), *root_with(*ENOUGH)]) as capture:
        pods.node.get(web, api.ips[0])
        held = held_by(capture.process.pid)
    assert set(held.values()) == {frozenset()}
    assert [(i["name"], i["view"]) for i in capture.summary["interfaces"]] == [("shop/web-0:eth0", "pod")]
    assert set(conversations(seen(file))) == both_ways("shop/web-0:eth0", web.ips[0], api.ips[0])


@pytest.mark.parametrize("missing", ENOUGH)
@pytest.mark.parametrize("how", ["on the node", "as a sidecar"])
def test_a_capability_that_is_missing_is_named(pods: Pods, tmp_path: Path, how: str, missing: str) -> None:
    web = pods("shop", "web-0")
    within: Sequence[str] = root_with(*(name for name in ENOUGH if name != missing))
    if how == "on the node":
        within, asked = [*pods.node.within(), *within], ["--cri-socket", pods.node.socket, "--pod", "shop/web-0"]
    else:
        within, asked = [*in_pod(web), *within], ["--self"]
    done = bicap("capture", *asked, "-w", str(tmp_path / "f.pcapng"), "--duration", "1s", within=within)
    assert (done.code, done.stderr.count("\n")) == (PrivilegeError.exit_code, 1)
    assert missing in done.stderr
    assert not (tmp_path / "f.pcapng").exists()
