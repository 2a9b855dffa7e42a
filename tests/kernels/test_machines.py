"""Which of Debian's packages is the kernel that is asked for."""

import pytest

from tests.kernels import machine

PACKAGES = [
    # package, version asked for, whether it is that
    ("linux-image-5.10.0-32-amd64", "5.10", True),
    ("linux-image-6.1.0-50-amd64", "6.1", True),
    ("linux-image-6.12.95+deb12-amd64", "6.12", True),
    ("linux-image-6.12.90+deb12.1-amd64", "6.12", True),
    ("linux-image-6.12.95+deb12-amd64", "6.1", False),
    ("linux-image-7.3.4+deb13-amd64", "", True),
    ("linux-image-6.1.0-50-cloud-amd64", "6.1", False),
    ("linux-image-6.12.95+deb12-rt-amd64", "6.12", False),
    ("linux-image-6.1.0-50-amd64-unsigned", "6.1", False),
    ("linux-image-amd64", "", False),
]


@pytest.mark.parametrize(("package", "version", "fits"), PACKAGES)
def test_a_package_is_known_by_its_version_and_is_no_other_build(package: str, version: str, fits: bool) -> None:
    assert machine._matches(package, version) is fits


def test_the_newest_is_chosen_by_numbers() -> None:
    names = ["linux-image-6.12.9+deb12-amd64", "linux-image-6.12.95+deb12-amd64", "linux-image-6.12.90+deb12.1-amd64"]
    assert max(names, key=machine._sortable) == "linux-image-6.12.95+deb12-amd64"
