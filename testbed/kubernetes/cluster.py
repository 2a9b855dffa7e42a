"""Programs and two nodes -> a cluster that answers; the namespaces of the caller are its control plane's."""

import contextlib
import json
import shutil
from pathlib import Path

from testbed.kubernetes.control_plane import CACHE, ControlPlane
from testbed.kubernetes.kubernetes_node import KubernetesNode
from testbed.kubernetes.network import API_ADDRESS, NODES, make_networks, remove_networks
from testbed.patience import wait_until
from testbed.two_pods import run

_SYSCTLS = ("vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops")
"""What the kubelet sets for the whole machine."""


class Cluster(ControlPlane):
    """A running cluster between `__enter__` and `__exit__`; `users` get a kubeconfig each."""

    def __init__(self, folder: Path, users: tuple[str, ...] = ()) -> None:
        super().__init__(folder, users, API_ADDRESS, controllers="*")
        self.nodes = [KubernetesNode(number, folder, CACHE / "bin", self.processes) for number in NODES]

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

    def _make_users(self) -> None:
        super()._make_users()
        keys = self.credentials
        self._kubelets = [keys.user(f"system:node:{node.name}", "system:nodes") for node in self.nodes]
        self._proxy = keys.user("system:kube-proxy")

    def _managers(self) -> dict[str, tuple[str, ...]]:
        return super()._managers() | {"kube-scheduler": ()}

    def _start(self) -> None:
        super()._start()
        for node, kubeconfig in zip(self.nodes, self._kubelets, strict=True):
            node.start(kubeconfig, self._proxy, self.credentials.path("ca.crt"))
        wait_until(lambda: len(self.get("nodes")) == len(self.nodes), self._troubles)
        for number, node in zip(NODES, self.nodes, strict=True):
            cidr = f"10.244.{number}.0/24"
            self.kubectl(
                "patch", "node", node.name, "-p", json.dumps({"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}})
            )
        self.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=120s")

    def _end(self) -> None:
        for node in self.nodes:
            node.end()
        self.processes.stop_all()

    def _clear(self) -> None:
        for node in self.nodes:
            node.remove_cgroups()
        shutil.rmtree(self.folder, ignore_errors=True)
