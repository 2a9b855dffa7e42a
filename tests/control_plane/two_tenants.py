"""A real API server with the shipped rights -> two namespaces with a pod each, and bicap's services for both.

There is one "node": this machine, with a controller and an agent that work with the tokens of their service accounts,
and as little as the manifests give those. Pods are network namespaces and objects; a fake runtime knows them.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from capture.cluster.kube import LEASE_NAMESPACE, SYSTEM_NAMESPACE
from capture.retrieval.orders import AUDIENCE
from testbed.fake_runtime import FakeRuntime, verbose_status
from testbed.kubernetes.control_plane import LOOPBACK, ControlPlane
from testbed.patience import wait_until
from testbed.tool import BICAP, read_pcapng
from testbed.two_pods import run

API_VERSION = "bicap.io/v1alpha1"
NODE = "n1"
CONTROLLER_ADDRESS = "192.0.2.10"
"""The controller's, as its pod has one: a Service leads to no loopback."""
USERS_PORT, AGENTS_PORT, ROBOTS_PORT = 8470, 8471, 8472
CONTROLLER, AGENT = "bicap-controller-0", "bicap-agent-n1"
BINDINGS = (
    ("alice", "shop", "--clusterrole=bicap-capturer"),
    ("mallory", "shop", "--clusterrole=admin"),
    ("mallory", "shop", "--clusterrole=bicap-store-owner"),
    ("tyrant", "shop", "--clusterrole=everything"),
    ("carol", "bank", "--clusterrole=bicap-capturer"),
    ("carol", "bank", "--clusterrole=bicap-store-owner"),
    *((user, SYSTEM_NAMESPACE, "--role=bicap-fetcher") for user in ("alice", "mallory", "tyrant", "carol")),
)
"""alice captures in the shop, mallory administers it, the tyrant may do everything there; carol is of the bank."""
OF_SHOP = ("alice", "mallory", "tyrant")
NOBODY = "nobody-in-particular"


@dataclass(frozen=True)
class PodHere:
    """A pod: an object, and a network namespace whose other end is here."""

    namespace: str
    name: str
    ip: str

    def ping(self) -> None:
        """Send packets to it, and get answers."""
        run("ping", "-c", "3", "-i", "0.01", "-W", "5", self.ip)


SHOP, BANK = PodHere("shop", "web", "10.77.1.2"), PodHere("bank", "vault", "10.77.2.2")
SHARING = PodHere("shop", "ingress", "192.0.2.1")
"""A pod of the shop with the node's network."""


class TwoTenants:
    """Everything, between `__enter__` and `__exit__`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plane = ControlPlane(folder / "plane", (*OF_SHOP, "carol", NOBODY))
        self.home = folder / "bicap"
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "TwoTenants":
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.plane)
            self._install()
            runtime = stack.enter_context(FakeRuntime(self.folder / "runtime.sock"))
            for number, pod in enumerate((SHOP, BANK), start=1):
                self._make_pod(pod, number, runtime)
                stack.callback(run, "ip", "netns", "del", pod.name)
            self._make_object(SHARING, host_network=True)
            self._start_services()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _install(self) -> None:
        kubectl = self.plane.kubectl
        for namespace in ("shop", "bank"):
            kubectl("create", "namespace", namespace)
        kubectl("apply", "-k", str(Path(__file__).with_name("overlay")))
        kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": [rule]}
        kubectl("create", "-f", "-", stdin=json.dumps(role | {"metadata": {"name": "everything"}}))
        for number, (user, namespace, role) in enumerate(BINDINGS):
            kubectl("create", "rolebinding", f"{user}-{number}", "-n", namespace, role, f"--user={user}")
        # The label of the role admin is summed up by a controller.
        wait_until(lambda: self.may("mallory", "create", "packetcaptures.bicap.io", "shop"))
        for pod, account in (
            (CONTROLLER, "bicap-controller"),
            (AGENT, "bicap-agent"),
            ("bicap-agent-n2", "bicap-agent"),
        ):
            self._make_system_pod(pod, account)

    def _make_system_pod(self, name: str, account: str) -> None:
        def made() -> bool:  # not before its service account has a token
            body = _pod(SYSTEM_NAMESPACE, name, NODE if name != "bicap-agent-n2" else "n2") | {}
            body["spec"]["serviceAccountName"] = account
            return self.plane.try_kubectl("create", "-f", "-", stdin=json.dumps(body)).returncode == 0

        wait_until(made)

    def _make_pod(self, pod: PodHere, number: int, runtime: FakeRuntime) -> None:
        run("ip", "netns", "add", pod.name)
        run("ip", "link", "add", f"v-{pod.name}", "type", "veth", "peer", "name", "eth0", "netns", pod.name)
        run("ip", "addr", "add", f"10.77.{number}.1/24", "dev", f"v-{pod.name}")
        run("ip", "-n", pod.name, "addr", "add", f"{pod.ip}/24", "dev", "eth0")
        run("ip", "link", "set", f"v-{pod.name}", "up")
        run("ip", "-n", pod.name, "link", "set", "eth0", "up")
        uid = self._make_object(pod)
        sandbox = f"sandbox-of-{pod.name}"
        runtime.add(pod.namespace, pod.name, sandbox, (pod.ip,), info=verbose_status(netns=f"/run/netns/{pod.name}"))
        runtime.sandboxes[sandbox].metadata.uid = uid

    def _make_object(self, pod: PodHere, host_network: bool = False) -> str:
        """Make the object of a pod that runs. Returns its uid."""
        body = _pod(pod.namespace, pod.name, NODE)
        body["spec"]["hostNetwork"] = host_network

        def made() -> bool:
            return self.plane.try_kubectl("create", "-f", "-", stdin=json.dumps(body)).returncode == 0

        wait_until(made)
        found = self.plane.get("pod", pod.name, "-n", pod.namespace)
        found["status"] = {
            "phase": "Running",
            "podIP": pod.ip,
            "podIPs": [{"ip": pod.ip}],
            "containerStatuses": [
                {
                    "name": "c",
                    "image": "x",
                    "imageID": "x",
                    "ready": True,
                    "restartCount": 0,
                    "containerID": f"containerd://c-sandbox-of-{pod.name}",
                    "state": {"running": {"startedAt": "2026-11-30T12:00:00Z"}},
                }
            ],
        }
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
        self.plane.kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(found))
        return str(found["metadata"]["uid"])

    def _start_services(self) -> None:
        plane = self.plane
        run("ip", "addr", "add", f"{CONTROLLER_ADDRESS}/32", "dev", "lo")
        configs = {
            name: plane.credentials.kubeconfig(name, plane.service_account(SYSTEM_NAMESPACE, name))
            for name in ("bicap-controller", "bicap-agent")
        }
        token = self.folder / "token"
        token.write_text(plane.service_account(SYSTEM_NAMESPACE, "bicap-agent", AGENT, AUDIENCE))
        plane.processes.start(
            *("controller", BICAP, "controller", "--kubeconfig", configs["bicap-controller"]),
            *("--identity", CONTROLLER, "--address", CONTROLLER_ADDRESS, "--captures-per-namespace", "100"),
        )
        plane.processes.start(
            *("agent", BICAP, "agent", "--kubeconfig", configs["bicap-agent"], "--node", NODE),
            *("--cri-socket", str(self.folder / "runtime.sock"), "--folder", str(self.home)),
            *("--token-file", str(token), "--min-free", "1%"),
        )
        wait_until(lambda: plane.get("leases", "-n", LEASE_NAMESPACE), self.logs)
        wait_until(lambda: "connected to the controller" in plane.processes.log("agent"), self.logs)

    def logs(self) -> str:
        """Return the end of what the services have logged."""
        return "\n".join(self.plane.processes.log(name)[-1500:] for name in ("controller", "agent"))

    # What users do.

    def may(self, user: str, verb: str, resource: str, namespace: str) -> bool:
        """Ask the API server if a user may do something."""
        words = ("auth", "can-i", verb, resource, "-n", namespace)
        return self.plane.try_kubectl(*words, user=user).stdout.strip() == "yes"

    def create(
        self, user: str, kind: str, namespace: str, name: str, spec: Any, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Make an object as a user."""
        metadata = {"name": name, "namespace": namespace} | more.pop("metadata", {})
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec} | more
        return self.plane.try_kubectl("create", "--validate=false", "-f", "-", user=user, stdin=json.dumps(body))

    def capture(self, user: str, namespace: str, name: str, spec: Any, **more: Any) -> "TenantCapture":
        """Make a capture as a user who may. Returns it once the controller has looked at it."""
        done = self.create(user, "PacketCapture", namespace, name, spec, **more)
        assert done.returncode == 0, done.stderr
        capture = TenantCapture(self, namespace, name)
        wait_until(lambda: capture.status.get("conditions"), self.logs)
        return capture

    def remove(self, capture: "TenantCapture") -> None:
        """Delete a capture with its files."""
        self.plane.kubectl("delete", "bpcap", capture.name, "-n", capture.namespace, "--timeout=60s")

    @contextlib.contextmanager
    def door(self) -> Iterator[httpx2.Client]:
        """Yield a client at the users' door, as port-forward leads to it."""
        with httpx2.Client(base_url=f"http://{LOOPBACK}:{USERS_PORT}", timeout=30, trust_env=False) as client:
            yield client


@dataclass(frozen=True)
class TenantCapture:
    """A capture of one of the tenants."""

    tenants: TwoTenants
    namespace: str
    name: str

    @property
    def object(self) -> Any:
        """The object as it is now."""
        return self.tenants.plane.get("bpcap", self.name, "-n", self.namespace)

    @property
    def status(self) -> Any:
        """Its status as it is now."""
        return self.object.get("status", {})

    @property
    def uid(self) -> str:
        """Its uid."""
        return str(self.object["metadata"]["uid"])

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.tenants.home / self.uid

    @property
    def parts(self) -> list[Any]:
        """The orders to nodes that were made for it."""
        words = ("nodecaptures", "-n", SYSTEM_NAMESPACE, "-l", f"bicap.io/capture-uid={self.uid}")
        return list(self.tenants.plane.get(*words))

    def until(self, phase: str) -> Any:
        """Wait for a phase. Returns the status."""
        wait_until(lambda: self.status.get("phase") == phase, lambda: f"{self.status}\n{self.tenants.logs()}")
        return self.status

    def stop(self) -> Any:
        """Stop it, and wait until it is complete. Returns the status."""
        patch = json.dumps({"spec": {"limits": {"stopAt": "2020-01-01T00:00:00Z"}}})
        self.tenants.plane.kubectl("patch", "bpcap", self.name, "-n", self.namespace, "--type=merge", "-p", patch)
        return self.until("Complete")

    def packets(self) -> list[bytes]:
        """Return the packets in its files."""
        return [data for file in sorted(self.folder.glob("*.pcapng")) for data in read_pcapng(file).data]


def _pod(namespace: str, name: str, node: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "x"}]},
    }
