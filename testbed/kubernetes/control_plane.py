"""Programs -> a control plane that answers: etcd, the API server, and controllers; there are no nodes.

What needs the API alone needs no more: a node is an object, and so is a pod.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from testbed.kubernetes.credentials import ADMIN, Credentials
from testbed.kubernetes.processes import Processes
from testbed.patience import wait_until

CACHE = Path(os.environ.get("BICAP_KUBERNETES", "/var/cache/bicap-kubernetes"))
"""Where the programs of Kubernetes are kept; building them takes minutes."""
KUBECTL = next((path for path in (Path(sys.executable).with_name("kubectl"),) if path.exists()), Path("kubectl"))
"""kubectl of the environment, if setup had to bring one; else that of the machine."""
LOOPBACK = "127.0.0.1"
_PORT = 6443
_ETCD = "http://127.0.0.1:2379"
_SERVICES = "10.96.0.0/16"
_CONTROLLERS = "namespace,serviceaccount,serviceaccount-token,root-ca-cert-publisher,clusterrole-aggregation"
"""Those that objects need; others would remove pods of nodes that do not exist."""


class ControlPlane:
    """A control plane between `__enter__` and `__exit__`; `users` get a kubeconfig each.

    `controllers` are those of kube-controller-manager that run; "*" are all.
    """

    def __init__(
        self,
        folder: Path,
        users: tuple[str, ...] = (),
        address: str = LOOPBACK,
        controllers: str = _CONTROLLERS,
    ) -> None:
        self.folder, self._users, self._address, self._controllers = folder, users, address, controllers
        self.server = f"https://{address}:{_PORT}"
        self.processes = Processes(folder / "logs")
        self.kubeconfigs: dict[str, str] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "ControlPlane":
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            stack.callback(self.processes.stop_all)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        self.credentials = keys = Credentials(self.folder, self.server, (self._address, "10.96.0.1", LOOPBACK))
        managers = {name: keys.user(f"system:{name}") for name in self._managers()}
        self._make_users()
        self._start_api_server()
        for name, words in self._managers().items():
            self.processes.start(
                name,
                f"{CACHE}/bin/{name}",
                f"--kubeconfig={managers[name]}",
                *("--bind-address=127.0.0.1", "--port=0", f"--cert-dir={self.folder}", "--leader-elect=false"),
                *words,
            )
        # Its own service accounts are not in use: it works as one user, who needs all of their rights.
        rights = ("--clusterrole=cluster-admin", "--user=system:kube-controller-manager")
        self.kubectl("create", "clusterrolebinding", "kcm", *rights)

    def _make_users(self) -> None:
        """Make the users that the API server is to know when it starts."""
        self.kubeconfigs = {name: self.credentials.user(name) for name in self._users}
        self.kubeconfigs[ADMIN] = self.credentials.user(ADMIN, "system:masters")

    def _managers(self) -> dict[str, tuple[str, ...]]:
        """Return the programs that work on objects, and words for each."""
        keys = self.credentials
        words = (
            f"--controllers={self._controllers}",
            f"--service-account-private-key-file={keys.path('service-accounts.key')}",
            f"--root-ca-file={keys.path('ca.crt')}",
        )
        return {"kube-controller-manager": words}

    def _start_api_server(self) -> None:
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
            f"--bind-address={self._address}",
            f"--advertise-address={self._address}",
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

    def compact(self) -> None:
        """Let etcd forget all versions but the present one, and the API server all watches that are behind."""
        revision = _ask_etcd("maintenance/status", {})["header"]["revision"]
        _ask_etcd("kv/compaction", {"revision": revision, "physical": True})

    def is_ready(self) -> bool:
        """True if the API server says that it is ready."""
        return self.try_kubectl("get", "--raw", "/readyz").returncode == 0

    def _troubles(self) -> str:
        return "\n".join(self.processes.log(name)[-1500:] for name in ("etcd", "kube-apiserver"))

    def try_kubectl(
        self, *words: str, user: str = ADMIN, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user."""
        command = [str(KUBECTL), "--kubeconfig", self.kubeconfigs[user], *words]
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

    def service_account(self, namespace: str, name: str, pod: str = "", audience: str = "") -> str:
        """Return a token of a service account; one for a pod is good as long as that exists."""
        spec: dict[str, Any] = {"audiences": [audience]} if audience else {}
        if pod:
            uid = self.get("pod", pod, "-n", namespace)["metadata"]["uid"]
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": uid}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        made = json.loads(self.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body)))
        return str(made["status"]["token"])


def _ask_etcd(method: str, body: dict[str, Any]) -> Any:
    """Call a method of etcd by its JSON gateway."""
    request = urllib.request.Request(f"{_ETCD}/v3/{method}", json.dumps(body).encode())
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)
