"""A real Kubernetes of two nodes, bicap installed from its manifests, one capture between pods on both -> its files.

Run by `make demo-cluster`. The cluster, its namespaces and its processes end with it; the files stay.
"""

import argparse
import contextlib
import subprocess
import tempfile
import time
from pathlib import Path

from testbed.isolation import isolate
from testbed.kubernetes.cluster import Cluster
from testbed.kubernetes.made_images import import_made_images
from testbed.patience import wait_until

ROOT = Path(__file__).resolve().parents[1]
OVERLAY, PODS = ROOT / "tests" / "cluster" / "overlay", ROOT / "tests" / "cluster" / "pods.yaml"
CAPTURE = ROOT / "examples" / "cluster" / "checkout.yaml"
_READY = "300s"


def say(text: str) -> None:
    """Print a line of the report."""
    print(f"demo: {text}", flush=True)


def show(cluster: Cluster, *words: str) -> None:
    """Run kubectl as a user would, and show what it says."""
    print(f"$ kubectl {' '.join(words)}")
    print(cluster.kubectl(*words).rstrip(), flush=True)


def install(cluster: Cluster, images: Path) -> None:
    """Install bicap, and make pods on both nodes."""
    import_made_images(cluster, images)
    cluster.kubectl("apply", "-k", str(OVERLAY))
    cluster.kubectl("apply", "-f", str(PODS))
    cluster.kubectl("rollout", "status", "statefulset/bicap-controller", "-n", "bicap-system", f"--timeout={_READY}")
    cluster.kubectl("rollout", "status", "daemonset/bicap-agent", "-n", "bicap-system", f"--timeout={_READY}")
    cluster.kubectl("wait", "-A", "--for=condition=Ready", "pod", "--all", f"--timeout={_READY}")


def far_pod(cluster: Cluster) -> str:
    """Return the pod of the shop that is not on the client's node."""
    pods = cluster.get("pods", "-n", "shop", "-l", "app=web")
    return next(str(pod["metadata"]["name"]) for pod in pods if pod["spec"]["nodeName"] == "n2")


def capture(cluster: Cluster, out: Path) -> list[Path]:
    """Capture a conversation between the nodes. Returns the files, copied from their nodes."""
    server = far_pod(cluster)
    manifest = CAPTURE.read_text().replace("web-0", server)
    print(f"$ kubectl apply -f {CAPTURE.relative_to(ROOT)}")
    print(cluster.kubectl("apply", "-f", "-", stdin=manifest).rstrip())
    cluster.kubectl("wait", "--for=condition=Capturing", "bpcap/checkout", "-n", "shop", "--timeout=60s")
    wait_until(lambda: cluster.get("bpcap", "checkout", "-n", "shop")["status"]["nodeSummary"] == "2/2")
    time.sleep(2)
    address = cluster.get("pod", server, "-n", "shop")["status"]["podIP"]
    script = f"for i in $(seq 20); do wget -q -O - http://{address}/ || exit 1; done"
    cluster.kubectl("exec", "-n", "shop", "client", "--", "/bin/sh", "-c", script)
    show(cluster, "get", "packetcaptures", "-n", "shop")
    show(cluster, "wait", "--for=condition=Complete", "packetcapture/checkout", "-n", "shop", "--timeout=120s")
    show(cluster, "get", "packetcaptures", "-n", "shop")
    show(cluster, "describe", "packetcapture", "checkout", "-n", "shop")
    found = cluster.get("bpcap", "checkout", "-n", "shop")
    files = []
    for node in cluster.nodes:
        (status,) = [one for one in found["status"]["nodes"] if one["node"] == node.name]
        for file in status["files"]:
            target = out / file["name"]
            target.write_bytes((node.captures / found["metadata"]["uid"] / file["name"]).read_bytes())
            files.append(target)
    return files


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo_cluster", description=__doc__)
    parser.add_argument("images", type=Path, help="folder with what `make image` made")
    parser.add_argument("out", type=Path, help="folder for the files")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    isolate()
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bicap-demo"))
        say("starts Kubernetes with two nodes")
        cluster = stack.enter_context(Cluster(Path(folder) / "cluster"))
        say("installs bicap: kubectl apply -k deploy/")
        install(cluster, given.images)
        try:
            files = capture(cluster, given.out)
        except BaseException:
            show(cluster, "describe", "packetcapture", "checkout", "-n", "shop")
            for service in ("bicap-agent", "bicap-controller"):
                show(cluster, "logs", "-n", "bicap-system", "-l", f"app={service}", "--tail=20")
            raise
        names = [str(file) for file in files]
        print(f"$ bicap legs {' '.join(names)}", flush=True)
        subprocess.run([str(ROOT / ".venv/bin/bicap"), "legs", *names], check=True)
        say(f"{' and '.join(names)} have both ends; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
