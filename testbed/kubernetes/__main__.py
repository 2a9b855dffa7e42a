"""`unshare -nmpf --mount-proc --kill-child python -m testbed.kubernetes`: a cluster until Ctrl-C."""

import signal
import sys
import tempfile
from pathlib import Path

from testbed.isolation import isolate
from testbed.kubernetes.cluster import Cluster

_ENDING = {signal.SIGINT, signal.SIGTERM}


def main() -> None:
    """Run the cluster until one of the signals comes, and leave nothing of it."""
    for number in _ENDING:  # while it starts, too
        signal.signal(number, lambda *_: sys.exit(1))
    isolate()
    with tempfile.TemporaryDirectory(prefix="kubernetes") as folder, Cluster(Path(folder, "cluster")) as cluster:
        print(cluster.kubeconfigs, flush=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        signal.sigwait(_ENDING)


if __name__ == "__main__":
    main()
