"""Folders of a containerd -> its configuration: images of this machine, no file systems that it may lack."""

from pathlib import Path

_CONFIG = """\
version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_bin}"
    conf_dir = "{folder}/cni"
    max_conf_num = {networks}
"""


def containerd_config(
    folder: Path, *, root: str, state: str, socket: str, pause: str, cni_bin: str, networks: int = 1
) -> str:
    """Return the text; `networks` is how many of the configurations in FOLDER/cni each pod gets."""
    return _CONFIG.format(
        folder=folder, root=root, state=state, socket=socket, pause=pause, cni_bin=cni_bin, networks=networks
    )
