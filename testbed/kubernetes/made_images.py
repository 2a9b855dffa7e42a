"""What `make image` made -> the runtimes of the nodes."""

from pathlib import Path

from testbed.kubernetes.cluster import Cluster

IMAGE_FILES = ("bicap-image.tar", "bicap-controller-image.tar")


def import_made_images(cluster: Cluster, folder: Path) -> None:
    """Give every node the images of bicap's services."""
    for node in cluster.nodes:
        for name in IMAGE_FILES:
            node.import_image(folder / name)
