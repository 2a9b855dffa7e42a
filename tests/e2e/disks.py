"""Disks that are small or fail when a test wants it, and a capture to them that is watched from elsewhere."""

import contextlib
import json
import platform
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from capture.benchmark.veth_pair import VethPair
from testbed.patience import PATIENCE, wait_until
from testbed.tool import BICAP
from testbed.two_pods import run
from testbed.warm import WarmProcess


@contextlib.contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size in memory."""
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "bicap-test", str(folder))
    try:
        yield folder
    finally:
        run("umount", str(folder))


class Ext4:
    """A file system in a file, which becomes read-only when its disk fails, as those of nodes do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._image = folder, folder.with_suffix(".ext4")

    def __enter__(self) -> "Ext4":
        self.folder.mkdir()
        with self._image.open("wb") as image:
            image.truncate(64 << 20)
        run("mkfs.ext4", "-q", "-m", "0", str(self._image))
        run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.folder))
        return self

    def fails(self) -> None:
        """From now on it is read-only."""
        device = Path(run("findmnt", "-n", "-o", "SOURCE", str(self.folder)).strip()).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("on request of a test")

    def __exit__(self, *_: object) -> None:
        run("umount", str(self.folder))
        self._image.unlink()


_FILTER = struct.Struct("=HBBI")
_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _RETURN = 0x20, 0x15, 0x25, 0x06
_ALLOWED, _REFUSED = 0x7FFF0000, 0x00050000
_CALLS = {"x86_64": (18, 296, 328), "aarch64": (68, 70, 287)}
"""Numbers of pwrite64, pwritev and pwritev2."""
_LENGTH, _OFFSET = 16 + 2 * 8, 16 + 3 * 8
_REFUSE = """
import ctypes, os, sys
code = ctypes.create_string_buffer(bytes.fromhex(sys.argv[1]))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
program = Program((len(code) - 1) // 8, ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program)):  # no new privileges; seccomp
    raise OSError(ctypes.get_errno(), "seccomp")
os.execv(sys.argv[2], sys.argv[2:])
"""


def refusing(code: int, beyond: int) -> list[str]:
    """Words before a command: no more than a page at a time is written to a file beyond so many bytes.

    So a quota is met: what was held back for the end is there when it is given back. The kernels that run the tests
    have none on a file system that `mkfs` of a plain Debian makes; the error comes from the same system call.
    """
    pwrite64, pwritev, pwritev2 = _CALLS[platform.machine()]
    steps = [
        (_LOAD, 0, 0, 0),
        (_JUMP_EQUAL, 6, 0, pwritev),  # their lengths are in memory: all of them are refused
        (_JUMP_EQUAL, 5, 0, pwritev2),
        (_JUMP_EQUAL, 0, 7, pwrite64),
        (_LOAD, 0, 0, _OFFSET),
        (_JUMP_ABOVE, 0, 5, beyond),
        (_LOAD, 0, 0, _LENGTH),
        (_JUMP_ABOVE, 2, 3, 4096),
        (_LOAD, 0, 0, _OFFSET),
        (_JUMP_ABOVE, 0, 1, beyond),
        (_RETURN, 0, 0, _REFUSED | code),
        (_RETURN, 0, 0, _ALLOWED),
    ]
    return [sys.executable, "-c", _REFUSE, b"".join(_FILTER.pack(*step) for step in steps).hex()]


class Recording:
    """`bicap capture` of vb in the background, ready; its log and summary are in `folder`, where no disk fails.

    The end of the `with` block kills what runs still.
    """

    def __init__(
        self,
        link: VethPair,
        folder: Path,
        output: Path | str,
        *words: str,
        within: Sequence[str] = (),
        ready: bool = True,
    ) -> None:
        self._said, self._log, self._ready = folder / "said", folder / "log", folder / "ready"
        self._ready.unlink(missing_ok=True)
        summary = [] if output == "-" else ["--json"]
        command = ["capture", "-i", "vb", "--netns", link.netns, "-w", str(output), *summary]
        command += ["--ready-file", str(self._ready), *words]
        self.process: WarmProcess | subprocess.Popen[bytes]
        with self._log.open("w") as log, self._said.open("w") as said:
            if within or output == "-":
                stdout = subprocess.PIPE if output == "-" else said
                self.process = subprocess.Popen([*within, BICAP, *command], stdout=stdout, stderr=log)
            else:
                self.process = WarmProcess(command, [], said, log)
        if ready:
            self.await_ready()

    def await_ready(self) -> None:
        """Return when packets are being caught."""

        def ready() -> bool:
            assert self.process.poll() is None, f"bicap ended before it was ready: {self.log}"
            return self._ready.exists()

        wait_until(ready, lambda: "bicap is not ready")

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if isinstance(self.process, subprocess.Popen) and self.process.stdout is not None:
            self.process.stdout.close()

    def interrupt(self) -> int:
        """SIGINT; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def ends(self) -> int:
        """The exit code, which comes by itself."""
        return self.process.wait(PATIENCE)

    @property
    def log(self) -> str:
        """Text on stderr."""
        return self._log.read_text()

    @property
    def summary(self) -> Any:
        """Values of --json."""
        return json.loads(self._said.read_text())


def await_size(file: Path, size: int) -> None:
    """Return when a file has so many bytes."""
    wait_until(lambda: file.stat().st_size >= size, lambda: f"{file} has {file.stat().st_size} bytes and not {size}")
    assert file.stat().st_size == size
