"""Layers -> an OCI image in a tar, as containerd imports it."""

import argparse
import hashlib
import io
import json
import tarfile
from pathlib import Path

from scripts.image_about import TARGETS, USERS, labels

_OCI = "application/vnd.oci.image."
_CONFIG = {
    "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUNBUFFERED=1"],
    "Entrypoint": ["/usr/local/bin/bicap"],
    "WorkingDir": "/",
}


def pack(target: str, out: Path, name: str, layers: list[Path]) -> None:
    """Write the image."""
    digests = [_digest(layer) for layer in layers]
    about = labels(target)
    user = {"User": USERS[target]} if USERS[target] else {}
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": about["org.opencontainers.image.created"],
            "config": _CONFIG | user | {"Labels": about},
            "rootfs": {"type": "layers", "diff_ids": digests},
        }
    )
    described = [
        {"mediaType": f"{_OCI}layer.v1.tar", "digest": digest, "size": layer.stat().st_size}
        for layer, digest in zip(layers, digests, strict=True)
    ]
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}manifest.v1+json",
            "config": _described(f"{_OCI}config.v1+json", config),
            "layers": described,
        }
    )
    index = _described(f"{_OCI}manifest.v1+json", manifest) | {
        "platform": {"architecture": "amd64", "os": "linux"},
        "annotations": {"io.containerd.image.name": name},
    }
    with tarfile.open(out, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", _json({"schemaVersion": 2, "manifests": [index]}))
        for blob in (config, manifest):
            _add(tar, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        for layer, digest in zip(layers, digests, strict=True):
            tar.add(layer, f"blobs/sha256/{digest.partition(':')[2]}")


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _described(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


def main() -> None:
    """Read the words of the command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.pack_image", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("out", type=Path)
    parser.add_argument("name")
    parser.add_argument("layers", type=Path, nargs="+")
    given = parser.parse_args()
    pack(given.target, given.out, given.name, given.layers)
    print(f"image: {given.name} in {given.out}")


if __name__ == "__main__":
    main()
