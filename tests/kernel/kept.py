"""A program's text and switches -> what bcc makes of them, from disk if it has made it before.

A compile takes 0.3 to 0.5 s of CPU, and tests ask for some thousand. What is kept are instructions, which the kernel
verifies and runs each time, and shapes of maps, which are made anew each time. Its name is made of all that
it comes from: the text with everything it includes, the switches, the code around the compiler, the compiler's
libraries, and the kernel. Each capture of tests/e2e compiles, and test_kept.py compares what is kept with what bcc
makes.
"""

import hashlib
import inspect
import os
import pickle
import platform
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from capture.filters.filter_h import FilterProgram
from capture.kernel import compiler, instructions
from capture.kernel.compiler import Compiled, compile_programs, import_bcc, source
from capture.sampling.sampling_h import SamplingProgram
from tests.kernel import frozen
from tests.kernel.frozen import Frozen, freeze, thaw

FOLDER = Path(__file__).parents[2] / ".pytest_cache" / "programs"
"""As pytest's own cache: nobody misses it. Workers side by side share it."""
LARGEST = 1 << 28
"""Bytes of FOLDER above which what was not used for longest goes."""
_COMPILER = re.compile(r"bcc|LLVM|clang")


def compiled_once(
    wanted: FilterProgram, sampling: SamplingProgram, defines: Mapping[str, int], xdp: bool = False
) -> Compiled:
    """As compile_programs, which is asked where nothing is kept."""
    file = FOLDER / key(wanted, sampling, defines, xdp)
    if found := _find(file):
        return thaw(found)
    compiled = compile_programs(wanted, sampling, defines, xdp)
    with suppress(OSError):  # a checkout may be read-only, and then each run compiles all of it
        _keep(file, freeze(compiled))
    return compiled


def _find(file: Path) -> Frozen | None:
    try:
        found: Frozen = pickle.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    with suppress(OSError):
        file.touch()
    return found


def _keep(file: Path, what: Frozen) -> None:
    _make_room(file.parent)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as new:
        new.write(pickle.dumps(what))
    os.replace(new.name, file)  # whole or not at all, whoever else writes it


@cache
def _make_room(folder: Path) -> None:
    """Make the folder if it is missing, and remove from it what was not used for longest, once in a run."""
    folder.mkdir(parents=True, exist_ok=True)
    left = 0
    for file, size, _ in sorted(
        ((e.path, e.stat().st_size, e.stat().st_mtime) for e in os.scandir(folder)), key=lambda f: -f[2]
    ):
        left += size
        if left > LARGEST:
            Path(file).unlink(missing_ok=True)


def key(wanted: FilterProgram, sampling: SamplingProgram, defines: Mapping[str, int], xdp: bool) -> str:
    """All that the instructions depend on, as the name of a file."""
    text, switches = source(wanted, sampling, defines)
    asked = [text, repr(sorted(switches.items())), repr(xdp), os.environ.get("ARCH", ""), _tools()]
    return hashlib.sha256("\0".join(asked).encode()).hexdigest()


@cache
def _tools() -> str:
    """The compiler's libraries, its headers, the kernel that it asks, and our code around it.

    Also where that code is: a pickle names the module of its class.
    """
    import_bcc()
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    libraries = sorted(path for path in mapped if _COMPILER.search(Path(path).name))
    assert libraries, "bcc is loaded, and no library of it is mapped"
    ours = [path for path in sorted(Path(os.environ["BCC_KERNEL_SOURCE"]).rglob("*")) if path.is_file()]
    ours += [Path(inspect.getfile(module)) for module in (compiler, instructions, frozen)]
    stamps = [f"{path} {(found := os.stat(path)).st_size} {found.st_mtime_ns}" for path in libraries]
    contents = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in ours]
    return "\n".join([platform.release(), platform.machine(), Frozen.__module__, *stamps, *contents])
