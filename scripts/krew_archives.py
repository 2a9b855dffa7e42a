"""The committed source -> an archive of kubectl-bicap for each platform, and the manifest for krew, in a folder.

An archive has the plugin, and what it needs of other projects: for each version of Python the compiled modules, which
lie beside each other because their names say for which one they are. None of it needs to be installed.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ROOT / "deploy" / "krew" / "bicap.yaml"
PLATFORMS = {
    "linux-amd64": "manylinux2014_x86_64",
    "linux-arm64": "manylinux2014_aarch64",
    "darwin-amd64": "macosx_11_0_x86_64",
    "darwin-arm64": "macosx_11_0_arm64",
}
PYTHONS = ("3.11", "3.12", "3.13")
NEEDED = ("click", "msgspec", "pyyaml", "rich", "zstandard")
STARTER = """\
#!/usr/bin/env python3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))
from capture.kubectl.main import main

main()
"""


def pip(*words: str) -> None:
    """Run pip."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", *words], check=True)


def archive(platform: str, target: Path, pythons: Sequence[str]) -> str:
    """Make the archive of a platform. Returns its SHA-256."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, library = folder / "source", folder / "kubectl-bicap-lib"
        source.mkdir()
        committed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x", "-C", str(source)], input=committed, check=True)
        pip("--no-deps", "--no-build-isolation", "--target", str(library), str(source))
        for python in pythons:
            once = folder / python
            wanted = ("--platform", PLATFORMS[platform], "--python-version", python, "--only-binary=:all:")
            pip(*wanted, "--target", str(once), *NEEDED)
            shutil.copytree(once, library, dirs_exist_ok=True)
        shutil.rmtree(library / "bin", ignore_errors=True)
        starter = folder / "kubectl-bicap"
        starter.write_text(STARTER)
        starter.chmod(0o755)
        with tarfile.open(target, "w:gz") as packed:
            packed.add(starter, "kubectl-bicap")
            packed.add(library, "lib")
            packed.add(ROOT / "LICENSE", "LICENSE")
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main() -> None:
    """Make the archives and the manifest."""
    parser = argparse.ArgumentParser(prog="python -m scripts.krew_archives", description=__doc__)
    parser.add_argument("folder", type=Path, help="where they are put")
    parser.add_argument("--url", default="", help="address from which krew will fetch the archives")
    parser.add_argument("--platform", choices=PLATFORMS, action="append", help="only this one; may be repeated")
    parser.add_argument("--python", choices=PYTHONS, action="append", help="only for this Python; may be repeated")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    text = MANIFEST.read_text().replace("@VERSION@", version("bicap")).replace("@URL@", given.url)
    for platform in given.platform or PLATFORMS:
        target = given.folder / f"kubectl-bicap-{platform}.tar.gz"
        text = text.replace(f"@{platform}@", archive(platform, target, given.python or PYTHONS))
        print(target)
    (given.folder / MANIFEST.name).write_text(text)


if __name__ == "__main__":
    main()
