"""The layers of an image -> its bill of materials: CycloneDX in JSON, on standard output.

Debian's packages are those of the image's own dpkg, Python's those whose metadata is in the image, each with the hash
of the wheel that the lock has.
"""

import argparse
import sys
import tarfile
import uuid
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from scripts.image_about import TARGETS, created, labels
from scripts.lock_image import name_of

_DPKG = "./var/lib/dpkg/status"


def debian_packages(root: tarfile.TarFile) -> Iterator[Component]:
    """Yield what dpkg has installed."""
    member = root.extractfile(_DPKG)
    assert member is not None
    for paragraph in member.read().decode().split("\n\n"):
        found = HeaderParser().parsestr(paragraph)
        if not (found["Status"] or "").endswith(" installed"):
            continue
        name, version = found["Package"], found["Version"]
        source = (found["Source"] or name).partition(" ")[0]
        where = {"arch": found["Architecture"], "distro": "debian-12"}
        purl = PackageURL("deb", "debian", name, version, where)
        yield _library(purl, properties=[Property(name="debian:source", value=source)])


def python_packages(wheels: tarfile.TarFile, hashes: dict[str, str]) -> Iterator[Component]:
    """Yield what pip has installed. `hashes` has the SHA-256 of each wheel by name."""
    for member in wheels:
        if not member.name.endswith(".dist-info/METADATA"):
            continue
        content = wheels.extractfile(member)
        assert content is not None
        found = HeaderParser().parsestr(content.read().decode())
        name, version = name_of(found["Name"]), found["Version"]
        purl = PackageURL("pypi", None, name, version)
        yield _library(
            purl,
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashes[name])],
            licenses=[LicenseFactory().make_from_string(text) for text in _license(found)],
        )


def _library(purl: PackageURL, **more: Any) -> Component:
    """Return a package; `more` is what Component takes besides."""
    kind = ComponentType.LIBRARY
    return Component(name=purl.name, version=purl.version, type=kind, purl=purl, bom_ref=str(purl), **more)


def _license(found: Message) -> list[str]:
    """Return the license of a package, as far as it says one in a form that has a meaning."""
    if expression := found["License-Expression"]:
        return [str(expression)]
    return [
        str(line).rpartition(" :: ")[2]
        for line in found.get_all("Classifier", [])
        if str(line).startswith("License :: OSI Approved :: ")
    ][:1]


def locked_hashes(lock: str) -> dict[str, str]:
    """Return the SHA-256 of each package of a lock."""
    lines = [line for line in lock.splitlines() if "==" in line]
    return {line.partition("==")[0]: line.rpartition("sha256:")[2] for line in lines}


def bill_of(target: str, components: list[Component]) -> str:
    """Return the document. The same components of the same commit have the same one."""
    about = labels(target)
    version = about["org.opencontainers.image.version"]
    image = Component(
        name=TARGETS[target], version=version, type=ComponentType.CONTAINER, bom_ref=f"{TARGETS[target]} {version}"
    )
    own = PackageURL("generic", None, "bicap", version)
    components = [Component(name="bicap", version=version, purl=own, bom_ref=str(own)), *components]
    named = "\n".join(sorted(str(one.purl) for one in components)) + about["org.opencontainers.image.revision"]
    bill = Bom(components=components, serial_number=uuid.uuid5(uuid.NAMESPACE_URL, named))
    bill.metadata.component, bill.metadata.timestamp = image, created()
    bill.register_dependency(image, components)
    return JsonV1Dot6(bill).output_as_string(indent=1)


def main() -> None:
    """Read the words of the command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.image_sbom", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    for word in ("base", "wheels", "lock"):
        parser.add_argument(word, type=Path)
    given = parser.parse_args()
    with tarfile.open(given.base) as base, tarfile.open(given.wheels) as wheels:
        hashes = locked_hashes(given.lock.read_text())
        components = [*debian_packages(base), *python_packages(wheels, hashes)]
    sys.stdout.write(bill_of(given.target, components) + "\n")


if __name__ == "__main__":
    main()
