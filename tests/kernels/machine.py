"""The name of a kernel, as 6.1 -> a virtual machine that runs it with this machine's files, and a command in it.

Kernels are Debian's packages, unpacked below CACHE under their names and checksums; apt brings them with lists of its
own, from the mirror that the machine is set up with. virtme-ng boots one with the machine's root file system, which
it may only read; what a command writes goes to the folder that it shares. Reading is what is slow there: virtme-ng
mounts the root without a cache, so it is mounted once more with one, and that is where the command runs.
"""

import atexit
import contextlib
import functools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.debian import debian_mirror

CACHE = Path("/var/lib/bicap-kernels")
"""Not in /var/cache: virtual machines have an empty folder there."""
_VERSION = re.compile(r"^linux-image-(\d[\d.]*)(?:-\d+|\+deb[\d.]+)-amd64$")
"""Kernel packages without those for clouds and for real time, which are other builds of the same."""
_PARTS = ("linux-image", "linux-binary", "linux-modules")
"""Packages of a kernel from Linux 7 on, where Debian splits it."""

_AGAIN = "root-again"
_SHARED_AGAIN = (
    f"--qemu-opts=-fsdev local,id={_AGAIN},path=/,security_model=none,readonly=on,multidevs=remap"
    f" -device virtio-9p-pci,fsdev={_AGAIN},mount_tag={_AGAIN}"
)

KVM_SECONDS = 20
"""Seconds that are enough for a boot with KVM; emulation takes as long on an idle machine."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel to test, and the Debian suite that has it; "" is the newest of the suite."""

    name: str
    suite: str
    version: str


KERNELS = (
    Kernel("5.10", "bullseye", "5.10"),
    Kernel("6.1", "bookworm", "6.1"),
    Kernel("6.12", "bookworm-backports", "6.12"),
    Kernel("6.18", "trixie-backports", "6.18"),
    Kernel("newest", "trixie-backports", ""),
)


class UnavailableError(Exception):
    """A kernel's package is not available; the message says why."""


class _Apt:
    """apt-get and apt-cache with the lists of one suite, without those of this machine."""

    def __init__(self, suite: str) -> None:
        self._folder = CACHE / "apt" / suite
        for folder in ("lists/partial", "cache/archives/partial"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        # Keys of other suites may be missing, and lists may have expired on a mirror that is not updated. The
        # packages are unpacked and booted, never installed.
        source = f"deb [trusted=yes check-valid-until=no] {debian_mirror()} {suite} main\n"
        (self._folder / "sources.list").write_text(source)

    def run(self, tool: str, *words: str, cwd: Path | None = None) -> str:
        """Run the tool and return its output. Raises UnavailableError."""
        options = {
            "Dir::Etc::sourcelist": self._folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": self._folder / "lists",
            "Dir::Cache": self._folder / "cache",
            "APT::Sandbox::User": "root",
        }
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        done = subprocess.run([tool, "-qq", *given, *words], capture_output=True, text=True, check=False, cwd=cwd)
        if done.returncode != 0:
            raise UnavailableError(f"{tool} {words[0]}: {(done.stderr.splitlines() or ['no answer'])[-1]}")
        return done.stdout


def image(kernel: Kernel) -> Path:
    """Return the kernel to boot, with its modules beside it; unpacks it if needed. Raises UnavailableError."""
    kept = sorted(CACHE.glob(f"{kernel.name}-*/vmlinuz"))
    if kept:
        return kept[-1]
    apt = _Apt(kernel.suite)
    apt.run("apt-get", "update")
    names = apt.run("apt-cache", "pkgnames", "linux-image-").splitlines()
    versions = [name for name in names if _matches(name, kernel.version)]
    if not versions:
        raise UnavailableError(f"{kernel.suite} has no linux-image-{kernel.version or '*'}-amd64")
    release = max(versions, key=_sortable).removeprefix("linux-image-")
    known = set(names) | set(apt.run("apt-cache", "pkgnames", "linux-").splitlines())
    packages = [f"{part}-{release}" for part in _PARTS if f"{part}-{release}" in known]
    return _unpack(kernel, apt, release, packages)


def _matches(package: str, version: str) -> bool:
    found = _VERSION.match(package)
    return bool(found and f"{found[1]}.".startswith(f"{version}." if version else ""))


def _sortable(package: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", package)]


def _unpack(kernel: Kernel, apt: _Apt, release: str, packages: Sequence[str]) -> Path:
    unfinished = CACHE / f"unpacking.{kernel.name}.{os.getpid()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "packages").mkdir(parents=True)
    try:
        apt.run("apt-get", "download", *packages, cwd=unfinished / "packages")
        archives = sorted((unfinished / "packages").glob("*.deb"))
        sums = subprocess.run(["sha256sum", *archives], capture_output=True, text=True, check=True).stdout
        for archive in archives:
            subprocess.run(["dpkg-deb", "-x", archive, unfinished], check=True)
        shutil.rmtree(unfinished / "packages")
        boot, modules = unfinished / "boot", unfinished / "lib/modules"
        if (unfinished / "usr/lib/modules").exists():
            modules.parent.mkdir(exist_ok=True)
            (unfinished / "usr/lib/modules").rename(modules)
            boot.mkdir(exist_ok=True)
            if not (boot / f"vmlinuz-{release}").exists():
                shutil.copy(next(modules.rglob("vmlinuz")), boot / f"vmlinuz-{release}")
        subprocess.run(["depmod", "-b", unfinished, release], check=True)
        (unfinished / "vmlinuz").symlink_to(f"boot/vmlinuz-{release}")
        place = CACHE / f"{kernel.name}-{release}-{sums[:12]}"
        unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return place / "vmlinuz"


def run(kernel: Path, shared: Path, command: Sequence[str], seconds: float) -> str:
    """Boot a kernel and run a command in the working directory of this process; all that it printed.

    `shared` is a folder that it may write to. Raises TimeoutExpired.
    """
    return _run(kernel, shared, command, seconds, [] if _has_kvm(kernel, shared) else ["--disable-kvm"])


@functools.cache
def _has_kvm(kernel: Path, shared: Path) -> bool:
    """True if a machine boots by KVM: the device may be there, and fail."""
    if not os.access("/dev/kvm", os.W_OK):
        return False
    try:
        return "booted" in _run(kernel, shared, ["echo", "booted"], KVM_SECONDS, [])
    except subprocess.TimeoutExpired:
        return False


@functools.cache
def _packed(folder: str, *but: str) -> Path:
    """Return an image of a folder, to which all machines have a link; it goes when this process ends."""
    place = Path(tempfile.mkdtemp(prefix="bicap-kernel-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    words = ["mksquashfs", folder, str(place / "image"), "-comp", "lz4", "-quiet", "-no-progress"]
    subprocess.run([*words, *(("-e", *but) if but else ())], check=True, stdout=subprocess.DEVNULL)
    return place / "image"


def pack_python() -> list[tuple[Path, str]]:
    """Put this Python and its packages into file systems of their own; these, and where they belong.

    Each start of a Python opens thousands of files, and over 9p each of them takes a millisecond and more.
    """
    library = sysconfig.get_path("stdlib")
    return [(_packed(sys.prefix), sys.prefix), (_packed(library, "site-packages", "test"), library)]


# Each mount of the old root is bound into the new one, at its place; those below another one come with it.
_ROOT_WITH_CACHE = f"""
mount -t 9p -o ro,version=9p2000.L,trans=virtio,cache=loose,access=any,msize=512000 {_AGAIN} /mnt
awk '$2 != "/" && $2 != "/mnt" {{ print $2 }}' /proc/self/mounts | sort -u |
    awk 'top && index($0, top "/") == 1 {{ next }} {{ top = $0; print }}' |
    while read -r place; do mount --rbind "$place" "/mnt$place"; done
cd /mnt && pivot_root . media && cd /
"""


def _run(kernel: Path, shared: Path, command: Sequence[str], seconds: float, options: Sequence[str]) -> str:
    log, script = shared / "log", shared / "run.sh"
    log.write_text("")
    # The console of the machine is a slow serial line, so nothing is printed there.
    place = f"cd {shlex.quote(os.getcwd())}"
    mounts = ["modprobe -a loop squashfs"]
    for number, (image, folder) in enumerate(pack_python()):
        with contextlib.suppress(FileExistsError):  # of the trial of KVM
            os.link(image, shared / f"python{number}")
        mounts.append(shlex.join(["mount", "-o", "loop,ro", str(shared / f"python{number}"), folder]))
    lines = [f"exec >{log} 2>&1", *mounts, _ROOT_WITH_CACHE, place, shlex.join(command)]
    script.write_text("\n".join(lines) + "\n")
    words = ["vng", "--run", str(kernel.resolve()), "--user", "root", "--cpus", "2", "--memory", "3G"]
    words += ["--rwdir", str(shared), "--force-9p", "--disable-microvm", _SHARED_AGAIN, *options]
    words += ["--exec", f"bash {script}"]
    path = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    # A process group of its own, so that its children end with it. The command's exit status is not passed on.
    machine = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=path,
        start_new_session=True,
    )  # fmt: skip
    try:
        machine.wait(seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(machine.pid, signal.SIGKILL)
        machine.wait()
    return log.read_text(errors="replace")
