"""The images and the manifests as they are -> the services as pods, in place of the processes; users with rights."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from testbed.kubernetes.cluster import Cluster
from testbed.kubernetes.made_images import import_made_images
from testbed.patience import wait_until
from tests.cluster.services import ROOT, SYSTEM, Services

IMAGES = Path(os.environ.get("BICAP_IMAGES", ROOT))
"""Folder with what `make image` made."""
OVERLAY = str(Path(__file__).with_name("overlay"))
_BINDINGS = (
    ("alice", "shop", "--clusterrole=bicap-capturer"),
    ("alice", SYSTEM, "--role=bicap-fetcher"),
    ("bob", "shop", "--clusterrole=bicap-viewer"),
)


@contextlib.contextmanager
def installation(cluster: Cluster, services: Services) -> Iterator[None]:
    """Install the services; after the block the processes run again."""
    services.stop()
    import_made_images(cluster, IMAGES)
    cluster.kubectl("apply", "-k", OVERLAY)
    try:
        for what in ("statefulset/bicap-controller", "daemonset/bicap-agent"):
            done = cluster.try_kubectl("rollout", "status", what, "-n", SYSTEM, "--timeout=120s")
            assert done.returncode == 0, cluster.kubectl("describe", "pods", "-n", SYSTEM)
        for user, namespace, role in _BINDINGS:
            cluster.kubectl("create", "rolebinding", user, "-n", namespace, role, f"--user={user}")
        yield
    finally:
        for user, namespace, _ in _BINDINGS:
            cluster.try_kubectl("delete", "rolebinding", user, "-n", namespace)
        for what in ("statefulset/bicap-controller", "daemonset/bicap-agent"):
            cluster.kubectl("delete", what, "-n", SYSTEM, "--timeout=120s")
        wait_until(lambda: not cluster.get("pods", "-n", SYSTEM))
        services.start()
