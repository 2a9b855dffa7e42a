"""`unshare -nmpf --mount-proc --kill-child python -m testbed.kubernetes`: a cluster until Ctrl-C."""

import signal
import tempfile
from pathlib import Path

from testbed.isolation import isolate
from testbed.kubernetes.cluster import Cluster


def main() -> None:
    isolate()
    with tempfile.TemporaryDirectory(prefix="kubernetes") as folder, Cluster(Path(folder, "cluster")) as cluster:
        print(cluster.kubeconfigs, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
