"""A program's text and macros -> what bcc makes of them, from disk if bcc has made it before.

A compile takes 0.2 s of CPU, and needs bcc and LLVM in the process: half of its memory. What is kept are
instructions, which the kernel verifies at each start, and shapes of maps, which are made anew at each start.

A file's name is a hash of all that is known before bcc is loaded: the text with everything that it includes, the
macros, the code and the headers around the compiler, and where bcc is. The file lists the compiler's libraries, with
size and time: where one of them is another now, the program is compiled again. The kernel is not in the name: our
headers stand in for its own, and the macros say what was found by probing it. So an image can carry programs for the
kernels of all nodes.

A file of another user, or that others may write to, is not used: programs run in the kernel.
"""

import hashlib
import importlib.util
import os
import platform
import re
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from capture.abi import BPF_FOLDER
from capture.filters.filter_h import FilterProgram
from capture.kernel import compiler, frozen, instructions
from capture.kernel.compiler import Compiled, compile_programs, source
from capture.kernel.frozen import Frozen, freeze, thaw
from capture.sampling.sampling_h import SamplingProgram

_COMPILER = re.compile(r"bcc|LLVM|clang")
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Folder:
    """A folder for programs. Above `largest` bytes those go that were not used for longest."""

    path: Path
    largest: int = 16 << 20


@dataclass(frozen=True)
class Library:
    """A library that was loaded when a program was compiled."""

    path: str
    size: int
    changed_ns: int

    @classmethod
    def at(cls, path: str) -> "Library":
        """Return the library that is there now. Raises OSError."""
        found = os.stat(path)
        return cls(path, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Kept:
    """The content of a file, and the name under which it was written."""

    name: str
    libraries: tuple[Library, ...]
    programs: Frozen


_not_written: dict[str, Frozen] = {}
"""Programs that were compiled ahead, and could not be written; by name, until they are asked for."""
_decoder = msgspec.msgpack.Decoder(Kept)


def folder() -> Folder:
    """Return where programs are kept: where compiled loops are, if that is said, else beside this file."""
    loops = os.environ.get("NUMBA_CACHE_DIR")
    return Folder(Path(loops or _HERE / "__pycache__") / "programs")


def compiled_once(
    wanted: FilterProgram, sampling: SamplingProgram, defines: Mapping[str, int], xdp: bool, kept_in: Folder
) -> Compiled:
    """Return what compile_programs returns, and call it only if no file of the folder has it. Raises as it does."""
    name = key(wanted, sampling, defines, xdp)
    found = _not_written.pop(name, None) or _find(kept_in.path / name)
    if found is not None:
        return thaw(found)
    compiled = compile_programs(wanted, sampling, defines, xdp)
    with suppress(OSError):  # the folder may be read-only: compiled at each start
        _keep(kept_in, name, freeze(compiled))
    return compiled


def compile_ahead(
    wanted: FilterProgram, sampling: SamplingProgram, defines: Mapping[str, int], xdp: bool, kept_in: Folder
) -> None:
    """Compile what the next `compiled_once` will return, if it is not kept. Raises as compile_programs does."""
    name = key(wanted, sampling, defines, xdp)
    if _find(kept_in.path / name) is not None:
        return
    compiled = compile_programs(wanted, sampling, defines, xdp)
    try:
        made = freeze(compiled)
    finally:
        compiled.close()
    try:
        _keep(kept_in, name, made)
    except OSError:
        _not_written[name] = made


def _find(file: Path) -> Frozen | None:
    try:
        with open(file, "rb") as opened:
            if not _is_ours(os.fstat(opened.fileno())):
                return None
            kept = _decoder.decode(opened.read())
        if kept.name != file.name or any(Library.at(library.path) != library for library in kept.libraries):
            return None
    except (OSError, msgspec.DecodeError):
        return None
    with suppress(OSError):
        os.utime(file)
    return kept.programs


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _keep(kept_in: Folder, name: str, programs: Frozen) -> None:
    _make_room(kept_in)
    with tempfile.NamedTemporaryFile(dir=kept_in.path, delete=False) as new:
        new.write(msgspec.msgpack.encode(Kept(name, _libraries(), programs)))
    os.replace(new.name, kept_in.path / name)  # whole or not at all, whoever else writes it


@cache
def _make_room(kept_in: Folder) -> None:
    """Make the folder if it is missing, and remove what was not used for longest; once in a process."""
    kept_in.path.mkdir(mode=0o755, parents=True, exist_ok=True)
    left = 0
    for path, size, _ in sorted(
        ((e.path, e.stat().st_size, e.stat().st_mtime) for e in os.scandir(kept_in.path)), key=lambda f: -f[2]
    ):
        left += size
        if left > kept_in.largest:
            Path(path).unlink(missing_ok=True)


def key(wanted: FilterProgram, sampling: SamplingProgram, defines: Mapping[str, int], xdp: bool) -> str:
    """Return a file's name."""
    text, macros = source(wanted, sampling, defines)
    asked = [text, repr(sorted(macros.items())), repr(xdp), os.environ.get("ARCH", ""), _tools()]
    return hashlib.sha256("\0".join(asked).encode()).hexdigest()


@cache
def _tools() -> str:
    """Return a text about the compiler's headers, our code around it, and the place of bcc."""
    ours = [path for path in sorted((BPF_FOLDER / "stubs").rglob("*")) if path.is_file()]
    ours += [Path(module.__file__ or "") for module in (compiler, instructions, frozen)]
    contents = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in ours]
    return "\n".join([platform.machine(), _bcc(), *contents])


def _bcc() -> str:
    """Return where Python finds bcc, with size and time; "" if nowhere."""
    try:
        found = importlib.util.find_spec("bcc")
        return repr(Library.at(found.origin)) if found and found.origin else ""
    except (ImportError, ValueError, OSError):
        return ""


def _libraries() -> tuple[Library, ...]:
    """Return the compiler's libraries in this process."""
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    return tuple(Library.at(path) for path in sorted(mapped) if _COMPILER.search(Path(path).name))
