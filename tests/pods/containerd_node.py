"""A network namespace with a containerd of its own -> a node on which real pods run.

Bridge, veths and rules of the CNI plugins are in that namespace, so the machine's own network stays untouched.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.containerd_config import containerd_config
from testbed.images import write_image
from testbed.patience import PATIENCE
from testbed.runtime_api import RuntimeApi
from testbed.two_pods import run

PAUSE, WEB = "localhost/pause:1", "localhost/web:1"
CNI_BIN = "/usr/lib/cni"
_CNI_RESULTS = Path("/var/lib/cni/results")
_RUNC_ROOT = "/run/containerd/runc/k8s.io"
_BUNDLES = "state/io.containerd.runtime.v2.task/k8s.io"
UPLINK = "uplink"
_SERVE = "echo 'hello from {name}' > /www/index.html; exec httpd -f -p 80 -h /www"


@dataclass(frozen=True)
class RealPod:
    """A pod as the runtime made it."""

    namespace: str
    name: str
    uid: str
    sandbox: str
    container: str
    ips: tuple[str, ...]
    pid: int
    netns: str | None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ContainerdNode:
    """A node of this name between `__enter__` and `__exit__`; pods get addresses of `subnet` (three numbers).

    `second` gives each pod a second interface, of this CNI plugin: bridge, or macvlan, which has no host side.
    """

    def __init__(self, netns: str, folder: Path, subnet: str = "10.210.0", second: str | None = None) -> None:
        self.netns, self._folder = netns, folder
        self.socket, self._config = str(folder / "cri.sock"), str(folder / "config.toml")
        self._cgroup = f"/{netns}"
        self._networks = [_bridge("cni0", subnet, folder)]
        if second == "bridge":
            self._networks.append(_bridge("cni1", _next(subnet), folder))
        elif second == "macvlan":
            self._networks.append(_macvlan(_next(subnet), folder))
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "ContainerdNode":
        with contextlib.ExitStack() as stack:
            self._clear()
            stack.callback(self._clear)
            self._write_files()
            run("ip", "netns", "add", self.netns)
            run("ip", "-n", self.netns, "link", "set", "lo", "up")
            run("ip", "-n", self.netns, "link", "add", UPLINK, "type", "veth", "peer", "name", "far")
            for link in (UPLINK, "far"):
                run("ip", "-n", self.netns, "link", "set", link, "up")
            stack.enter_context(self._containerd())
            self._api = RuntimeApi(self.socket)
            stack.callback(self._api.close)
            stack.callback(self.remove_all)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _write_files(self) -> None:
        (self._folder / "cni").mkdir(parents=True)
        for number, network in enumerate(self._networks):
            (self._folder / "cni" / f"{number}.conflist").write_text(json.dumps(network))
        Path(self._config).write_text(
            containerd_config(
                self._folder,
                root=f"{self._folder}/root",
                state=f"{self._folder}/state",
                socket=f"{self._folder}/cri.sock",
                pause=PAUSE,
                cni_bin=str(CNI_BIN),
                networks=len(self._networks),
            )
        )
        write_image(self._folder / "pause.tar", PAUSE, ["/bin/tail", "-f", "/dev/null"])
        write_image(self._folder / "web.tar", WEB, ["/bin/sh"])

    @contextlib.contextmanager
    def _containerd(self) -> Iterator[None]:
        # nsenter and not `ip netns exec`: the namespaces that CNI names must be visible outside.
        command = ["nsenter", f"--net=/run/netns/{self.netns}", "containerd", "-c", self._config]
        with open(self._folder / "log", "w") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        try:
            for image in ("pause.tar", "web.tar"):
                self._ctr("images", "import", str(self._folder / image))
            yield
        finally:
            process.kill()  # all that it knows is deleted, and one that hangs must end, too
            process.wait()

    def _ctr(self, *words: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(
                ["ctr", "-a", self.socket, "-n", "k8s.io", *words], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"containerd: {done.stderr} {(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def run(
        self, namespace: str, name: str, labels: Mapping[str, str] | None = None, *, host_network: bool = False
    ) -> RealPod:
        """Make a pod that answers HTTP on port 80 with "hello from NAMESPACE/NAME"."""
        uid = str(uuid.uuid4())
        identity = {"name": name, "namespace": namespace, "uid": uid}
        own = {f"io.kubernetes.pod.{key}": value for key, value in identity.items()}
        linux = {"security_context": {"namespace_options": {"network": "NODE" if host_network else "POD"}}}
        config = {
            "metadata": identity,
            "hostname": "" if host_network else name,
            "log_directory": str(self._folder / "logs" / uid),
            "labels": {**(labels or {}), **own},
            "linux": {"cgroup_parent": f"{self._cgroup}/pod{uid}", **linux},
        }
        sandbox = self._api("RunPodSandbox", config=config).pod_sandbox_id
        container = self._api(
            "CreateContainer",
            pod_sandbox_id=sandbox,
            sandbox_config=config,
            config={
                "metadata": {"name": "web"},
                "image": {"image": WEB},
                "command": ["/bin/sh", "-c", _SERVE.format(name=f"{namespace}/{name}")],
                "labels": own,
                "log_path": "web.log",
                "linux": linux,
            },
        ).container_id
        self._api("StartContainer", container_id=container)
        return self._described(namespace, name, uid, sandbox, container)

    def _described(self, namespace: str, name: str, uid: str, sandbox: str, container: str) -> RealPod:
        answer = self._api("PodSandboxStatus", pod_sandbox_id=sandbox, verbose=True)
        info = json.loads(answer.info["info"])
        namespaces = {one["type"]: one.get("path") for one in info["runtimeSpec"]["linux"]["namespaces"]}
        network = answer.status.network
        ips = tuple(ip for ip in (network.ip, *(one.ip for one in network.additional_ips)) if ip)
        return RealPod(namespace, name, uid, sandbox, container, ips, info["pid"], namespaces.get("network"))

    def stop(self, pod: RealPod) -> None:
        """End a pod's processes and take its network; it stays listed as not ready."""
        self._api("StopPodSandbox", pod_sandbox_id=pod.sandbox)

    def remove(self, pod: RealPod) -> None:
        """Delete a pod."""
        self._remove(pod.sandbox)

    def remove_all(self) -> None:
        """Delete every pod, also one that failed half-way through `run`."""
        for sandbox in self._api("ListPodSandbox").items:
            self._remove(sandbox.id)

    def _remove(self, sandbox: str) -> None:
        self._api("StopPodSandbox", pod_sandbox_id=sandbox)
        self._api("RemovePodSandbox", pod_sandbox_id=sandbox)

    def exec(self, pod: RealPod, *words: str) -> str:
        """Run a command in the pod's container; its output."""
        done = self._api("ExecSync", container_id=pod.container, cmd=list(words), timeout=PATIENCE)
        if done.exit_code:
            raise RuntimeError(f"{' '.join(words)} in {pod}: {done.stderr.decode().strip()}")
        return str(done.stdout.decode())

    def get(self, client: RealPod, ip: str) -> str:
        """What HTTP on port 80 of an address answers to a pod."""
        host = f"[{ip}]" if ":" in ip else ip
        return self.exec(client, "wget", "-q", "-O", "-", f"http://{host}/").strip()

    def within(self) -> list[str]:
        """Words before a command that runs in the node's network."""
        return ["nsenter", f"--net=/run/netns/{self.netns}"]

    def links(self) -> Any:
        """The node's interfaces, as ip tells them."""
        return json.loads(run("ip", "-n", self.netns, "-j", "-d", "link"))

    def _clear(self) -> None:
        """Remove what a runtime that died, or a run that was killed, left of a node of this name and folder."""
        with contextlib.ExitStack() as steps:  # from the last to the first, and each even if one fails
            steps.callback(self._remove_folder)
            steps.callback(self._remove_namespace)
            steps.callback(self._remove_cgroups)
            steps.callback(self._end_containers)
            steps.callback(self._end_runtime)

    def _end_runtime(self) -> None:
        """containerd and its shims: they name our files, and nobody else's."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                name, *words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if Path(name).name.startswith("containerd") and {self.socket, self._config} & set(words):
                    with open(os.pidfd_open(int(folder.name))) as process:
                        signal.pidfd_send_signal(process.fileno(), signal.SIGKILL)
                        select.select([process], [], [])  # until it is gone

    def _end_containers(self) -> None:
        """Their bundles tell what there is of them outside the folder."""
        for bundle in (self._folder / _BUNDLES).glob("*"):
            run("runc", "--root", _RUNC_ROOT, "delete", "--force", bundle.name)
            Path((bundle / "address").read_text().removeprefix("unix://")).unlink(missing_ok=True)
            for result in _CNI_RESULTS.glob(f"*-{bundle.name}-*"):
                result.unlink()
            for namespace in json.loads((bundle / "config.json").read_text())["linux"]["namespaces"]:
                path = Path(namespace.get("path", ""))
                if path.name.startswith("cni-"):
                    run("ip", "netns", "del", path.name)

    def _remove_cgroups(self) -> None:
        for hierarchy in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
            top = hierarchy / self.netns
            if hierarchy.is_dir() and top.is_dir():
                for folder, _, _ in os.walk(top, topdown=False):
                    os.rmdir(folder)

    def _remove_namespace(self) -> None:
        if Path("/run/netns", self.netns).exists():
            run("ip", "netns", "del", self.netns)

    def _remove_folder(self) -> None:
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in reversed(mounted):
            if place.startswith(f"{self._folder}/"):
                subprocess.run(["umount", "-l", place], check=False)
        if self._folder.exists():
            shutil.rmtree(self._folder)


def _addresses(subnet: str, folder: Path) -> dict[str, Any]:
    """Of both families, without a default route for later networks: the first one has it."""
    wide = f"fd00:{int(subnet.split('.')[1]):x}:{int(subnet.split('.')[2]):x}::/64"
    return {
        "type": "host-local",
        "dataDir": str(folder / "ipam" / subnet),
        "ranges": [[{"subnet": f"{subnet}.0/24"}], [{"subnet": wide}]],
    }


def _bridge(bridge: str, subnet: str, folder: Path) -> dict[str, Any]:
    plugin = {"type": "bridge", "bridge": bridge, "isGateway": True, "ipam": _addresses(subnet, folder)}
    return {"cniVersion": "1.0.0", "name": bridge, "plugins": [plugin]}


def _macvlan(subnet: str, folder: Path) -> dict[str, Any]:
    plugin = {"type": "macvlan", "master": UPLINK, "mode": "bridge", "ipam": _addresses(subnet, folder)}
    return {"cniVersion": "1.0.0", "name": "macvlan", "plugins": [plugin]}


def _next(subnet: str) -> str:
    a, b, c = subnet.split(".")
    return f"{a}.{b}.{int(c) + 100}"
