"""/bin/busybox -> a container image in a tar, without any registry."""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = "/bin/busybox"
_FOLDERS = ("bin", "dev", "etc", "proc", "sys", "tmp", "var", "www")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_OCI = "application/vnd.oci.image."


def write_image(path: Path, name: str, entrypoint: list[str]) -> None:
    """An OCI image layout with one layer: busybox and a link for each of its commands."""
    layer = _layer()
    machine = _MACHINES.get(platform.machine(), platform.machine())
    config = json.dumps(
        {
            "architecture": machine,
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Entrypoint": entrypoint, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}manifest.v1+json",
            "config": _described(f"{_OCI}config.v1+json", config),
            "layers": [_described(f"{_OCI}layer.v1.tar", layer)],
        }
    ).encode()
    index = {
        **_described(f"{_OCI}manifest.v1+json", manifest),
        "platform": {"architecture": machine, "os": "linux"},
        "annotations": {"io.containerd.image.name": name},
    }
    with tarfile.open(path, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [index]}).encode())
        for blob in (layer, config, manifest):
            _add(tar, f"blobs/sha256/{_digest(blob).partition(':')[2]}", blob)


def _layer() -> bytes:
    commands = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for folder in _FOLDERS:
            tar.addfile(_entry(folder, type=tarfile.DIRTYPE))
        _add(tar, "bin/busybox", Path(BUSYBOX).read_bytes())
        for command in sorted(set(commands) - {"busybox"}):
            tar.addfile(_entry(f"bin/{command}", type=tarfile.SYMTYPE, linkname="busybox"))
    return content.getvalue()


def _entry(name: str, **fields: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode = 0o755
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_entry(name, size=len(content)), io.BytesIO(content))


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _described(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}
