"""A number -> a node of the cluster: containerd, kubelet and kube-proxy with network and mounts of their own.

In its mount namespace the node has the usual paths to itself: /run/containerd, /run/netns, /var/lib/kubelet,
/var/lib/bicap, /var/log. They lie in a folder of the cluster outside.
"""

import contextlib
import json
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from testbed.containerd_config import containerd_config
from testbed.images import write_image
from testbed.kubernetes.network import netns, node_address
from testbed.kubernetes.processes import Processes
from testbed.patience import PATIENCE, wait_until
from testbed.runtime_api import RuntimeApi

_CGROUPS = "bicap-testbed-"
PAUSE, BUSYBOX = "localhost/pause:1", "localhost/busybox:1"
_MOUNTS = (
    # Slave: what the node mounts is seen by no one else; its own /run/netns is shared with its pods.
    "mount --make-rslave /",
    "mkdir -p /run/containerd /run/netns /var/lib/kubelet /var/lib/bicap",
    # Containers may share a mount only if no other of its place is below it.
    "while mountpoint -q /run/netns; do umount -lR /run/netns; done",
    "mount -t tmpfs netns /run/netns && mount --make-shared /run/netns",
    "mount --bind {folder}/run /run/containerd",
    "mount --bind {folder}/kubelet /var/lib/kubelet && mount --make-shared /var/lib/kubelet",
    "mount --bind {folder}/bicap /var/lib/bicap",
    "mount --bind {folder}/log /var/log",
    "exec containerd -c {folder}/containerd.toml",
)


class KubernetesNode:
    """A node between `start` and the end of its processes."""

    def __init__(self, number: int, folder: Path, programs: Path, processes: Processes) -> None:
        self.name, self._number = f"n{number}", number
        self.folder, self._programs, self._processes = folder / self.name, programs, processes
        self._cgroup = f"{_CGROUPS}{uuid.uuid4().hex[:6]}-{self.name}"
        self.captures = self.folder / "bicap"
        """The node's /var/lib/bicap."""

    def start(self, kubeconfig: str, proxy_kubeconfig: str, client_ca: str) -> None:
        """Start the runtime, the kubelet and kube-proxy."""
        for name in ("cni", "run", "kubelet", "bicap", "log", "images", "opt"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "cni/10.conflist").write_text(json.dumps(self._network()))
        config = containerd_config(
            self.folder,
            root=f"{self.folder}/images",
            state="/run/containerd",
            socket="/run/containerd/containerd.sock",
            pause=PAUSE,
            cni_bin="/usr/lib/cni",
        )
        (self.folder / "containerd.toml").write_text(config)
        (self.folder / "kubelet.json").write_text(json.dumps(self._kubelet(client_ca)))
        self._make_cgroups()
        script = " && ".join(_MOUNTS).format(folder=self.folder)
        within = (
            "nsenter",
            f"--net=/run/netns/{netns(self._number)}",
            "unshare",
            "--mount",
            "--propagation",
            "unchanged",
        )
        self._processes.start(f"{self.name}-containerd", *within, "sh", "-c", script)
        self.import_images()
        self._processes.start(
            f"{self.name}-kubelet",
            *self.within(),
            f"{self._programs}/kubelet",
            f"--config={self.folder}/kubelet.json",
            f"--kubeconfig={kubeconfig}",
            "--container-runtime=remote",
            "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            f"--hostname-override={self.name}",
            f"--node-ip={node_address(self._number)}",
            f"--pod-infra-container-image={PAUSE}",
        )
        self._processes.start(
            f"{self.name}-kube-proxy",
            *self.within(),
            f"{self._programs}/kube-proxy",
            f"--kubeconfig={proxy_kubeconfig}",
            "--proxy-mode=iptables",
            "--cluster-cidr=10.244.0.0/16",
            f"--hostname-override={self.name}",
            # Settings of the whole machine, which a network namespace may not change.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        )

    def within(self) -> list[str]:
        """Return the words before a command that runs on the node."""
        return ["nsenter", "--target", str(self._processes.pid(f"{self.name}-containerd")), "--net", "--mount"]

    def import_images(self) -> None:
        """Give the runtime the images of pods; both are made of busybox."""
        pause, busybox = self.folder / "pause.tar", self.folder / "busybox.tar"
        write_image(pause, PAUSE, ["/bin/tail", "-f", "/dev/null"])
        write_image(busybox, BUSYBOX, ["/bin/sh"])
        wait_until(
            lambda: self.ctr("version").returncode == 0, lambda: self._processes.log(f"{self.name}-containerd")
        )
        for image in (pause, busybox):
            self.import_image(image)

    def import_image(self, file: Path) -> None:
        """Give the runtime an image."""
        done = self.ctr("images", "import", str(file.resolve()))
        if done.returncode:
            raise RuntimeError(f"{self.name} does not take {file}: {done.stderr}")

    def ctr(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run containerd's own client."""
        command = [*self.within(), "ctr", "-a", "/run/containerd/containerd.sock", "-n", "k8s.io", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def exec_in_pod(self, namespace: str, pod: str) -> Callable[..., str]:
        """Return a call that runs a command in a pod's network without the API server."""
        api = RuntimeApi(str(self.folder / "run/containerd.sock"))
        labels = {"io.kubernetes.pod.namespace": namespace, "io.kubernetes.pod.name": pod}
        (container,) = api("ListContainers", filter={"label_selector": labels, "state": {"state": 1}}).containers

        def execute(*words: str) -> str:
            done = api("ExecSync", container_id=container.id, cmd=list(words), timeout=PATIENCE)
            if done.exit_code:
                raise RuntimeError(f"{' '.join(words)} in {namespace}/{pod}: {done.stderr.decode().strip()}")
            return str(done.stdout.decode())

        return execute

    def _network(self) -> object:
        number = self._number
        ranges = [[{"subnet": f"10.244.{number}.0/24"}], [{"subnet": f"fd00:244:{number}::/64"}]]
        routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "mtu": 1450,
            "ipam": {"type": "host-local", "dataDir": f"{self.folder}/ipam", "ranges": ranges, "routes": routes},
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "1.0.0", "name": "testbed", "plugins": [bridge, ports]}

    def _kubelet(self, client_ca: str) -> object:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "0.0.0.0",
            "healthzBindAddress": "127.0.0.1",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": client_ca},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._cgroup}",
            "failSwapOn": False,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "syncFrequency": "5s",
        }

    def end(self) -> None:
        """End the pods and all that runs the node: shims outlive their runtime, and containers their shims."""
        runtime = f"{self.name}-containerd"
        if runtime not in self._processes:
            return
        for name in ("kubelet", "kube-proxy"):
            if f"{self.name}-{name}" in self._processes:
                self._processes.stop(f"{self.name}-{name}")
        wait_until(lambda: not _killed(self._in_cgroups()))
        with contextlib.suppress(FileNotFoundError):  # the runtime has ended by itself
            mounts = os.readlink(f"/proc/{self._processes.pid(runtime)}/ns/mnt")
            if mounts != os.readlink("/proc/self/ns/mnt"):
                wait_until(lambda: not _killed(_with_mounts(mounts)))
        self._processes.stop(runtime)

    def _in_cgroups(self) -> set[int]:
        found: set[int] = set()
        for top in hierarchies():
            for folder, _, _ in os.walk(top / self._cgroup):
                with contextlib.suppress(OSError):  # the group of a container that has just ended
                    found.update(map(int, Path(folder, "cgroup.procs").read_text().split()))
        # 0 stands for a process outside of our pid namespace, and for our own process group where it is killed.
        return found - {0}

    def _make_cgroups(self) -> None:
        _remove(folder for top in hierarchies() for folder in top.glob(f"{_CGROUPS}*-{self.name}"))
        for hierarchy in hierarchies():
            top = hierarchy / self._cgroup
            top.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (hierarchy / name).exists():
                    (top / name).write_text((hierarchy / name).read_text())

    def remove_cgroups(self) -> None:
        """Remove the control groups of a node whose processes have ended."""
        _remove(hierarchy / self._cgroup for hierarchy in hierarchies())


def _with_mounts(namespace: str) -> set[int]:
    """Return the processes with a mount namespace."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(folder / "ns/mnt") == namespace:
                found.add(int(folder.name))
    return found


def _killed(pids: set[int]) -> set[int]:
    """Kill processes, and return their pids."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def _remove(groups: Iterable[Path]) -> None:
    """Remove control groups in which no process is left, also those of a cluster that was killed."""
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def hierarchies() -> list[Path]:
    """Return the folders of the control groups' hierarchies: one in version 2, one per controller in version 1."""
    top = Path("/sys/fs/cgroup")
    if (top / "cgroup.controllers").exists():
        return [top]
    return [folder for folder in top.iterdir() if folder.is_dir() and not folder.is_symlink()]
