"""A cluster -> bicap's services on it: the controller beside the control plane, an agent on each node."""

import signal
from pathlib import Path

from capture.cluster.kube import LEASE_NAMESPACE
from testbed.kubernetes.cluster import Cluster
from testbed.kubernetes.kubernetes_node import KubernetesNode
from testbed.kubernetes.network import NODES
from testbed.patience import wait_until
from testbed.tool import BICAP

ROOT = Path(__file__).parents[2]
SYSTEM = "bicap-system"


class Services:
    """The processes of bicap's services; each may be killed and started again."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def install(self) -> None:
        """Install the definitions, and start everything."""
        for namespace in (SYSTEM, LEASE_NAMESPACE):
            self.cluster.kubectl("create", "namespace", namespace)
        self.cluster.kubectl("apply", "-k", str(ROOT / "deploy" / "crds"))
        self.cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        self.start()

    def start(self) -> None:
        """Start a controller and the agents."""
        self.start_controller("controller-0", "--antrea")
        for node in self.cluster.nodes:
            self.start_agent(node)
        wait_until(lambda: len(self.cluster.get("leases", "-n", LEASE_NAMESPACE)) == len(NODES), self.logs)

    def start_controller(self, name: str, *words: str) -> None:
        """Start a controller under a name."""
        kubeconfig = self.cluster.kubeconfigs["admin"]
        self.cluster.processes.start(
            *(name, BICAP, "controller", "--kubeconfig", kubeconfig, "--identity", name),
            *("--users-port", "0"),  # two of them share this machine
            *words,
        )

    def start_agent(self, node: KubernetesNode, *words: str, under: tuple[str, ...] = ()) -> None:
        """Start the agent of a node, under another command if one is given."""
        agent = (BICAP, "agent", "--kubeconfig", self.cluster.kubeconfigs["admin"], "--node", node.name)
        self.cluster.processes.start(agent_of(node), *node.within(), *under, *agent, *words)

    def restart_agent(self, node: KubernetesNode, *under: str) -> None:
        """End the agent of a node, and start it again."""
        self.cluster.processes.stop(agent_of(node))
        self.start_agent(node, under=under)

    def stop(self) -> None:
        """End all of them."""
        processes = self.cluster.processes
        for name in ("controller-0", "controller-1", *(agent_of(node) for node in self.cluster.nodes)):
            if name in processes:
                processes.stop(name)

    def kill(self, name: str) -> None:
        """Kill a service by SIGKILL."""
        self.cluster.processes.stop(name, signal.SIGKILL)

    def leader(self) -> str:
        """Return the identity of the leading controller."""
        leases = self.cluster.get("leases", "-n", SYSTEM)
        return str(leases[0]["spec"].get("holderIdentity", "")) if leases else ""

    def logs(self) -> str:
        """Return the end of what the services have logged."""
        names = ["controller-0", *(agent_of(node) for node in self.cluster.nodes)]
        processes = self.cluster.processes
        return "\n".join(processes.log(name)[-1500:] for name in names if name in processes)


def agent_of(node: KubernetesNode) -> str:
    """Return the name of the process of a node's agent."""
    return f"agent-{node.name}"
