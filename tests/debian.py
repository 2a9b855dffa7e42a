"""The machine's apt sources -> the address of its Debian mirror, for packages of other suites."""

import subprocess


def debian_mirror() -> str:
    """Return the first address that apt has Debian's packages from. Raises CalledProcessError with what apt said."""
    words = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Label: Debian"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[0]
