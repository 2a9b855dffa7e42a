"""The images: both ways to make one agree, a user and labels in its configuration, and a bill of what is in it."""

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion

from scripts.image_about import NOBODY, ROOT, TARGETS, USERS
from scripts.image_sbom import bill_of, debian_packages, locked_hashes, python_packages
from scripts.lock_image import LOCKS
from scripts.pack_image import pack

STATUS = """\
Package: libc6
Status: install ok installed
Source: glibc (2.36-9)
Architecture: amd64
Version: 2.36-9+deb12u9

Package: perl
Status: deinstall ok config-files
Architecture: amd64
Version: 5.36
"""
METADATA = "Metadata-Version: 2.4\nName: Mdurl\nVersion: 0.1.2\nLicense-Expression: MIT\n\nText: not a field\n"


def tar_of(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def layers(tmp_path: Path) -> list[Path]:
    site = "./usr/local/lib/python3.11/dist-packages"
    return [
        tar_of(tmp_path / "base.tar", {"./var/lib/dpkg/status": STATUS}),
        tar_of(tmp_path / "wheels.tar", {f"{site}/mdurl-0.1.2.dist-info/METADATA": METADATA}),
    ]


def stages() -> dict[str, str]:
    """Return the text of each stage of the Containerfile."""
    text = (ROOT / "deploy" / "Containerfile").read_text()
    return dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM|\Z)", text, re.DOTALL | re.MULTILINE))


def test_the_containerfile_has_the_targets_that_make_image_makes_with_their_users() -> None:
    found = stages()
    assert found.keys() - {"build"} == TARGETS.keys() == {path.stem for path in LOCKS.glob("*.debian")}
    for target, user in USERS.items():
        assert re.findall(r"^USER (\S+)$", found[target], re.MULTILINE) == ([user] if user else [])
        assert f"deploy/requirements/{target}.debian" in found[target]
        assert f"COPY --from=build /{target} " in found[target]
        assert f'image.title="{TARGETS[target]}"' in found[target]


def test_every_wheel_of_the_containerfile_has_a_hash() -> None:
    commands = re.findall(r"pip install ([^;&|\\\n]*)", stages()["build"])
    assert len(commands) == 3
    assert [command for command in commands if "--require-hashes" not in command] == [
        "--no-deps --no-build-isolation --target /bicap /src "
    ]


def test_the_controller_has_no_bcc() -> None:
    assert "bpfcc" not in (LOCKS / "controller.debian").read_text()


def test_the_manifest_runs_the_image_as_its_own_user() -> None:
    objects = yaml.safe_load_all((ROOT / "deploy" / "services" / "controller.yaml").read_text())
    (pod,) = (item["spec"]["template"]["spec"] for item in objects if item["kind"] == "StatefulSet")
    given = pod["securityContext"]
    assert f"{given['runAsUser']}:{given['runAsGroup']}" == USERS["controller"] == NOBODY


def blobs_of(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return manifest and configuration of an image."""
    with tarfile.open(path) as tar:

        def read(name: str) -> Any:
            member = tar.extractfile(name)
            assert member is not None
            return json.load(member)

        def blob(described: dict[str, Any]) -> Any:
            return read(f"blobs/sha256/{described['digest'].partition(':')[2]}")

        manifest = blob(read("index.json")["manifests"][0])
        return manifest, blob(manifest["config"])


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_is_and_as_whom_it_runs(target: str, layers: list[Path], tmp_path: Path) -> None:
    pack(target, tmp_path / "image.tar", "localhost/it:dev", layers)
    manifest, config = blobs_of(tmp_path / "image.tar")
    assert len(manifest["layers"]) == 2
    assert config["config"].get("User", "") == USERS[target]
    labels = {key.rpartition("image.")[2]: value for key, value in config["config"]["Labels"].items()}
    assert labels["title"] == TARGETS[target]
    assert re.fullmatch("[0-9a-f]{40}", labels["revision"])
    assert labels["created"] == config["created"]
    assert labels.keys() >= {"version", "licenses", "description", "base.name"}


@pytest.mark.slow
def test_the_bill_has_what_is_installed_and_is_valid_cyclonedx(layers: list[Path]) -> None:
    with tarfile.open(layers[0]) as base, tarfile.open(layers[1]) as wheels:
        hashes = locked_hashes("# generated\nmdurl==0.1.2 --hash=sha256:" + "ab" * 32)
        text = bill_of("controller", [*debian_packages(base), *python_packages(wheels, hashes)])
    # Here, because importing it makes 38 parsers, which takes seconds.
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    found = {one["name"]: one for one in bill["components"]}
    assert found.keys() == {"bicap", "libc6", "mdurl"}
    assert found["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12"
    assert found["libc6"]["properties"] == [{"name": "debian:source", "value": "glibc"}]
    assert found["mdurl"]["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert found["mdurl"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert bill["metadata"]["component"]["type"] == "container"
