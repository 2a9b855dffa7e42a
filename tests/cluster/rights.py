"""The table of rights in docs/security.md, as the API server is asked for it."""

from testbed.kubernetes.cluster import Cluster
from tests.cluster.services import SYSTEM

CONTROLLER, AGENT = (f"system:serviceaccount:{SYSTEM}:bicap-{name}" for name in ("controller", "agent"))
ROBOT = "system:serviceaccount:shop:default"

# Who, verb, resource (with subresource), namespace ("" is all), and the answer.
RIGHTS = [
    (CONTROLLER, "list", "pods", "shop", True),
    (CONTROLLER, "watch", "pods", "", True),
    (CONTROLLER, "create", "pods", SYSTEM, False),
    (CONTROLLER, "create", "pods/exec", "shop", False),
    (CONTROLLER, "get", "secrets", SYSTEM, False),
    (CONTROLLER, "list", "secrets", "shop", False),
    (CONTROLLER, "get", "nodes", "", False),
    (CONTROLLER, "list", "capturestores.bicap.io", "shop", True),
    (CONTROLLER, "create", "capturestores.bicap.io", "shop", False),
    (AGENT, "get", "secrets", "shop", False),
    (AGENT, "list", "capturestores.bicap.io", "shop", False),
    ("alice", "create", "capturestores.bicap.io", "shop", False),
    (CONTROLLER, "patch", "packetcaptures.bicap.io", "shop", True),
    (CONTROLLER, "create", "packetcaptures.bicap.io", "shop", False),
    (CONTROLLER, "create", "nodecaptures.bicap.io", SYSTEM, True),
    (CONTROLLER, "create", "nodecaptures.bicap.io", "shop", False),
    (CONTROLLER, "patch", "nodecaptures.bicap.io/status", SYSTEM, False),
    (CONTROLLER, "list", "captureaccesses.bicap.io", "shop", True),
    (CONTROLLER, "delete", "captureaccesses.bicap.io", "shop", True),
    (CONTROLLER, "create", "captureaccesses.bicap.io", "shop", False),
    (CONTROLLER, "create", "tokenreviews.authentication.k8s.io", "", True),
    (CONTROLLER, "create", "subjectaccessreviews.authorization.k8s.io", "", True),
    (CONTROLLER, "list", "endpoints", SYSTEM, False),
    (ROBOT, "get", "packetcaptures.bicap.io/files", "shop", False),
    (ROBOT, "list", "configmaps", SYSTEM, False),
    (CONTROLLER, "list", "configmaps", SYSTEM, False),
    (CONTROLLER, "create", "configmaps", "shop", False),
    (AGENT, "list", "nodecaptures.bicap.io", SYSTEM, True),
    (AGENT, "list", "nodecaptures.bicap.io", "shop", False),
    (AGENT, "patch", "nodecaptures.bicap.io/status", SYSTEM, True),
    (AGENT, "create", "nodecaptures.bicap.io", SYSTEM, False),
    (AGENT, "delete", "nodecaptures.bicap.io", SYSTEM, False),
    (AGENT, "list", "pods", SYSTEM, False),
    (AGENT, "list", "pods", "shop", False),
    (AGENT, "get", "secrets", SYSTEM, False),
    (AGENT, "list", "packetcaptures.bicap.io", "shop", False),
    (AGENT, "get", "nodes", "", False),
    (AGENT, "list", "captureaccesses.bicap.io", "shop", False),
    (AGENT, "list", "configmaps", SYSTEM, False),
    (AGENT, "patch", "configmaps", SYSTEM, False),
    ("alice", "create", "packetcaptures.bicap.io", "shop", True),
    ("alice", "create", "captureaccesses.bicap.io", "shop", True),
    ("alice", "update", "captureaccesses.bicap.io", "shop", False),
    ("alice", "create", "captureaccesses.bicap.io", "bank", False),
    ("alice", "create", "captureaccesses.bicap.io", SYSTEM, False),
    ("bob", "create", "captureaccesses.bicap.io", "shop", False),
    ("alice", "create", "packetcaptures.bicap.io", "bank", False),
    ("alice", "list", "packetcaptures.bicap.io", "bank", False),
    ("alice", "create", "clusterpacketcaptures.bicap.io", "", False),
    ("alice", "list", "nodecaptures.bicap.io", SYSTEM, False),
    ("alice", "create", "nodecaptures.bicap.io", SYSTEM, False),
    ("alice", "create", "nodecaptures.bicap.io", "shop", False),
    ("alice", "patch", "packetcaptures.bicap.io/status", "shop", False),
    ("alice", "create", "pods/exec", SYSTEM, False),
    ("bob", "list", "packetcaptures.bicap.io", "shop", True),
    ("bob", "create", "packetcaptures.bicap.io", "shop", False),
]


def answer(cluster: Cluster, who: str, verb: str, resource: str, namespace: str) -> bool:
    """Ask the API server if somebody may do something."""
    name, _, subresource = resource.partition("/")
    words = [verb, name, *([f"--subresource={subresource}"] if subresource else [])]
    words += ["-n", namespace] if namespace else ["-A"]
    return cluster.try_kubectl("auth", "can-i", *words, f"--as={who}").stdout.strip() == "yes"
