"""The name of a Debian suite -> a root file system with its bcc and LLVM, and a Python that can run bicap.

All of it is kept in CACHE under the name of the suite and a hash of what it is made of; `make test-bcc` makes what is
missing. The mirror is the one that the machine's apt has.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.debian import debian_mirror

CACHE = Path("/var/cache/bicap-bcc")
TREE = Path(__file__).resolve().parents[2]
PYTHON_OF = "bookworm"
"""The suite whose Python runs the bcc of suites that have an older Python than bicap needs."""
PACKAGES = ("python3-bpfcc", "iproute2", "iputils-ping", "procps", "tcpdump", "tshark", "libcap2-bin")
TESTS_NEED = ("pytest", "hypothesis")
ENTER = str(Path(__file__).with_name("enter.sh"))
_PROJECT = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]


@dataclass(frozen=True, slots=True)
class SuiteRoot:
    """A root file system, the Python packages for it, and a bcc that goes before its own, if there is one."""

    root: Path
    packages: Path
    older: Path | None

    @property
    def python(self) -> str:
        """Which Python it has, and whose it is if not the suite's."""
        version = ".".join(map(str, _python(self.root)))
        return f"{version} of {PYTHON_OF}" if self.older else version

    def run(self, *command: str, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command there, on this machine's kernel."""
        words = [ENTER, str(self.root), str(TREE), str(self.packages), str(self.older or ""), *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)


def place_of(suite: str) -> SuiteRoot:
    """Make what is missing. Raises CalledProcessError with what apt or pip said."""
    root = _root(suite)
    if _python(root) >= _wanted_python():
        return SuiteRoot(root, _python_packages(_python(root)), None)
    home = _root(PYTHON_OF)
    return SuiteRoot(home, _python_packages(_python(home)), _bcc_of(suite, root, home))


def _wanted_python() -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", _PROJECT["requires-python"]))


def _python(root: Path) -> tuple[int, ...]:
    """The version of its Python, like (3, 11)."""
    return tuple(int(number) for number in os.readlink(root / "usr/bin/python3").removeprefix("python").split("."))


def _kept(name: str, made_of: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """The folder of this name made of these; `make` fills it where it is not there yet."""
    place = CACHE / f"{name}-{hashlib.sha256(' '.join(made_of).encode()).hexdigest()[:12]}"
    if not place.exists():
        unfinished = place.with_suffix(f".{os.getpid()}")
        try:
            make(unfinished)
            unfinished.rename(place)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return place


def _root(suite: str) -> Path:
    def make(place: Path) -> None:
        CACHE.mkdir(parents=True, exist_ok=True)
        # Old and new suites are signed with keys that this machine may lack, and a mirror that stands still has
        # lists that are past their time. Nothing from here is ever installed on the machine.
        source = f"deb [trusted=yes check-valid-until=no] {debian_mirror()} {suite} main"
        options = ["--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        options += ['--aptopt=APT::Install-Recommends "false"']
        options += [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]
        _checked("mmdebstrap", *options, suite, str(place), source)
        (place / "usr/bin/bicap").write_text(
            "#!/usr/bin/python3\nimport sys\n\nfrom capture.cli.main import main\n\nsys.exit(main())\n"
        )
        (place / "usr/bin/bicap").chmod(0o755)

    return _kept(suite, PACKAGES, make)


def _python_packages(python: tuple[int, ...]) -> Path:
    """What bicap and its tests need, for a Python that need not be there: wheels only."""
    version, names = ".".join(map(str, python)), (*_PROJECT["dependencies"], *TESTS_NEED)
    platforms = [f"--platform=manylinux{tag}_{os.uname().machine}" for tag in ("2014", "_2_17", "_2_28")]

    def make(place: Path) -> None:
        wheels = ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}", *platforms]
        _checked("python3", "-m", "pip", "install", "-qq", f"--target={place}", *wheels, *names)

    return _kept(f"python{version}", names, make)


def _bcc_of(suite: str, root: Path, home: Path) -> Path:
    """The bcc of a root with all libraries that it needs and the other has not: those it has are newer, and do."""

    def make(place: Path) -> None:
        place.mkdir()
        shutil.copytree(root / "usr/lib/python3/dist-packages/bcc", place / "bcc")
        library = next(root.glob("usr/lib/*/libbcc.so.0"))
        there = _checked("chroot", str(home), "ldconfig", "-p")
        needed = _checked("chroot", str(root), "ldd", f"/{library.relative_to(root)}")
        for path in re.findall(r"=> (/\S+)", needed):
            if f"\t{Path(path).name} " not in there:
                shutil.copy(root / path.lstrip("/"), place)
        shutil.copy(library, place / library.name)

    return _kept(f"bcc-of-{suite}", (root.name, home.name), make)


def _checked(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
