"""Programs and two nodes -> a cluster that answers; the namespaces of the caller are its control plane's."""

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from testbed.kubernetes.credentials import ADMIN, Credentials
from testbed.kubernetes.kubernetes_node import KubernetesNode
from testbed.kubernetes.network import API_ADDRESS, NODES, make_networks, remove_networks
from testbed.kubernetes.processes import Processes
from testbed.patience import wait_until
from testbed.two_pods import run

CACHE = Path(os.environ.get("BICAP_KUBERNETES", "/var/cache/bicap-kubernetes"))
"""Where the programs of Kubernetes are kept; building them takes minutes."""
_PORT = 6443
_ETCD = "http://127.0.0.1:2379"
_SERVICES = "10.96.0.0/16"
_SYSCTLS = ("vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops")
"""What the kubelet sets for the whole machine."""


class Cluster:
    """A running cluster between `__enter__` and `__exit__`; `users` get a kubeconfig each."""

    def __init__(self, folder: Path, users: tuple[str, ...] = ()) -> None:
        self.folder, self._users = folder, users
        self.server = f"https://{API_ADDRESS}:{_PORT}"
        self.processes = Processes(folder / "logs")
        self.nodes = [KubernetesNode(number, folder, CACHE / "bin", self.processes) for number in NODES]
        self.kubeconfigs: dict[str, str] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Cluster":
        with contextlib.ExitStack() as stack:
            before = run("sysctl", *_SYSCTLS).replace(" ", "").split()
            stack.callback(run, "sysctl", "-qw", *before)
            stack.callback(self._clear)
            make_networks()
            stack.callback(remove_networks)
            stack.callback(self._end)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        self.credentials = keys = Credentials(self.folder, self.server, (API_ADDRESS, "10.96.0.1", "127.0.0.1"))
        system = {
            name: keys.user(f"system:{name}") for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy")
        }
        kubelets = [keys.user(f"system:node:{node.name}", "system:nodes") for node in self.nodes]
        self.kubeconfigs = {name: keys.user(name) for name in self._users}
        self.kubeconfigs[ADMIN] = keys.user(ADMIN, "system:masters")
        self._start_control_plane(system)
        # Its own service accounts are not in use: it works as one user, who needs all of their rights.
        self.kubectl(
            "create",
            "clusterrolebinding",
            "kcm",
            "--clusterrole=cluster-admin",
            "--user=system:kube-controller-manager",
        )
        for node, kubeconfig in zip(self.nodes, kubelets, strict=True):
            node.start(kubeconfig, system["kube-proxy"], keys.path("ca.crt"))
        wait_until(lambda: len(self.get("nodes")) == len(self.nodes), self._troubles)
        for number, node in zip(NODES, self.nodes, strict=True):
            cidr = f"10.244.{number}.0/24"
            self.kubectl(
                "patch", "node", node.name, "-p", json.dumps({"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}})
            )
        self.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=120s")

    def _start_control_plane(self, system: dict[str, str]) -> None:
        keys, start, programs = self.credentials, self.processes.start, CACHE / "bin"
        peer = "http://127.0.0.1:2380"
        start(
            *("etcd", "etcd", "--name", "n", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync"),
            *("--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD, "--listen-peer-urls", peer),
            *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"n={peer}"),
        )
        start(
            "kube-apiserver",
            f"{programs}/kube-apiserver",
            f"--etcd-servers={_ETCD}",
            f"--bind-address={API_ADDRESS}",
            f"--advertise-address={API_ADDRESS}",
            f"--secure-port={_PORT}",
            "--insecure-port=0",
            f"--tls-cert-file={keys.path('api.crt')}",
            f"--tls-private-key-file={keys.path('api.key')}",
            f"--client-ca-file={keys.path('ca.crt')}",
            f"--kubelet-client-certificate={keys.path('kubelet-client.crt')}",
            f"--kubelet-client-key={keys.path('kubelet-client.key')}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-cluster-ip-range={_SERVICES}",
            "--service-account-issuer=https://testbed",
            f"--service-account-signing-key-file={keys.path('service-accounts.key')}",
            f"--service-account-key-file={keys.path('service-accounts.key')}",
            f"--token-auth-file={keys.tokens}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
        )
        wait_until(self.is_ready, self._troubles)
        start(
            "kube-controller-manager",
            f"{programs}/kube-controller-manager",
            f"--kubeconfig={system['kube-controller-manager']}",
            *("--bind-address=127.0.0.1", "--port=0", f"--cert-dir={self.folder}", "--leader-elect=false"),
            f"--service-account-private-key-file={keys.path('service-accounts.key')}",
            f"--root-ca-file={keys.path('ca.crt')}",
        )
        start(
            "kube-scheduler",
            f"{programs}/kube-scheduler",
            f"--kubeconfig={system['kube-scheduler']}",
            *("--bind-address=127.0.0.1", "--port=0", f"--cert-dir={self.folder}", "--leader-elect=false"),
        )

    def is_ready(self) -> bool:
        """True if the API server says that it is ready."""
        return self.try_kubectl("get", "--raw", "/readyz").returncode == 0

    def _troubles(self) -> str:
        return "\n".join(self.processes.log(name)[-1500:] for name in ("etcd", "kube-apiserver"))

    def try_kubectl(
        self, *words: str, user: str = ADMIN, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user."""
        command = ["kubectl", "--kubeconfig", self.kubeconfigs[user], *words]
        return subprocess.run(command, capture_output=True, text=True, input=stdin, check=False)

    def kubectl(self, *words: str, user: str = ADMIN, stdin: str | None = None) -> str:
        """Run kubectl, which must succeed. Returns its output."""
        done = self.try_kubectl(*words, user=user, stdin=stdin)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *words: str) -> Any:
        """Return an object, or the items of a list."""
        found = json.loads(self.kubectl("get", "-o", "json", *words))
        return found.get("items", found)

    def _end(self) -> None:
        for node in self.nodes:
            node.end()
        self.processes.stop_all()

    def _clear(self) -> None:
        for node in self.nodes:
            node.remove_cgroups()
        shutil.rmtree(self.folder, ignore_errors=True)
