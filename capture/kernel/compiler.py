"""bpf/programs/capture.c and a plan's generated headers -> instructions and maps, made by bcc; nothing is loaded."""

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capture.abi import BPF_FOLDER
from capture.errors import CompileError, KernelError, MissingBccError
from capture.filters.filter_h import FilterProgram
from capture.kernel.features import lacking, missing_capabilities, not_permitted
from capture.kernel.instructions import with_maps
from capture.sampling.sampling_h import SamplingProgram

PASSES, FLUSH = "packet_passes", "flush_waiting"
"""Names of the functions in bpf/programs/capture.c."""
TOO_LARGE = "the filter is too large; ask for less, or give exact conversations with --conversations"
BCC_REMEDY = "install the distribution's python3-bpfcc (Fedora: python3-bcc) and make it visible to this Python"
NEWER_BCC = "use bcc 0.18 (Debian 11) or newer"
_NEEDED = ("bpf_num_tables", "bpf_table_name", "bpf_function_start", "bpf_function_size")
"""Functions of libbcc.so that this file calls."""
_INCLUDE = re.compile(r'^#include "(.+)"$')
_CLANG_ERROR = re.compile(r".+:\d+:\d+: (fatal )?error: |error: ")
_LARGE = 64 << 10
"""Bytes of generated C from which LLVM may end the process that it runs in."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """Instructions of both functions for tc, of PASSES also for XDP if requested, and the maps that they refer to.

    `code` and `maps` hold descriptors of this process, which `close` closes.
    """

    code: Mapping[str, bytes]
    xdp: bytes | None
    maps: Mapping[str, int]
    close: Callable[[], None]


def import_bcc() -> Any:
    """Return iovisor's bcc module, told to use our headers. Raises MissingBccError, also for PyPI's bcc."""
    try:
        import bcc
    except Exception as error:  # also OSError where libbcc.so is missing
        raise MissingBccError(f"bcc cannot be imported ({error}); {BCC_REMEDY}") from None
    if not hasattr(bcc, "BPF"):
        raise MissingBccError(f"the package bcc in {_location(bcc)} is PyPI's, an unrelated project; {BCC_REMEDY}")
    lacking = [name for name in _NEEDED if not hasattr(bcc.libbcc.lib, name)]
    if lacking:
        raise MissingBccError(f"this bcc is too old: its library has no {', '.join(lacking)}; {NEWER_BCC}")
    os.environ["BCC_KERNEL_SOURCE"] = str((BPF_FOLDER / "stubs").resolve())
    return bcc


def _location(module: Any) -> str:
    return module.__file__ or next(iter(module.__path__), "?")  # a folder without __init__.py has no file


def compile_programs(
    wanted: FilterProgram, sampling: SamplingProgram, defines: Mapping[str, int], xdp: bool = False
) -> Compiled:
    """Compile the programs and make their maps. Raises CompileError, MissingBccError, PrivilegeError."""
    bcc = import_bcc()
    text, switches = source(wanted, sampling, defines)
    large = may_end_the_process(wanted)
    with contextlib.ExitStack() as stack:
        tc = _compile(bcc, text, switches | {"XDP": 0}, large)
        stack.callback(tc.cleanup)
        maps = _maps(bcc, tc)
        code = {function: _code(bcc, tc, function) for function in (PASSES, FLUSH)}
        received = None
        if xdp:
            # Compiling for XDP makes a second set of maps: its code is changed to use the first.
            other = _compile(bcc, text, switches | {"XDP": 1}, large)
            try:
                fds = {fd: maps[name] for name, fd in _maps(bcc, other).items()}
                received = with_maps(_code(bcc, other, PASSES), fds)
            finally:
                other.cleanup()
        return Compiled(code, received, maps, stack.pop_all().close)


def compile_functions(
    name: str, generated: Mapping[str, str], macros: Mapping[str, int], *functions: str
) -> Compiled:
    """Compile functions of another C file of bpf/, and make its maps. Raises as compile_programs."""
    bcc = import_bcc()
    made = _compile(bcc, join_sources(name, generated), macros, large=False)
    return Compiled({one: _code(bcc, made, one) for one in functions}, None, _maps(bcc, made), made.cleanup)


def may_end_the_process(wanted: FilterProgram) -> bool:
    """True if LLVM may end the process on this filter, so that it has to be tried in another one."""
    return len(wanted.header) > _LARGE


def source(
    wanted: FilterProgram, sampling: SamplingProgram, defines: Mapping[str, int]
) -> tuple[str, dict[str, int]]:
    """The C text with all that it includes of ours, and the macros that it is compiled with."""
    text = join_sources("programs/capture.c", {"filter.h": wanted.header, "sampling.h": sampling.header})
    return text, dict((*wanted.switches, *sampling.switches, *defines.items()))


def join_sources(name: str, generated: Mapping[str, str], folder: Path = BPF_FOLDER) -> str:
    """Return a C file and its quoted includes as one text, with #line so that errors name the right file."""
    lines = [f'#line 1 "bpf/{name}"']
    for number, line in enumerate((folder / name).read_text().splitlines(), start=2):
        include = _INCLUDE.match(line)
        if include is None:
            lines.append(line)
        elif include[1] in generated:
            lines += [f'#line 1 "{include[1]} (generated)"', generated[include[1]], f'#line {number} "bpf/{name}"']
        else:
            lines += [join_sources(include[1], generated, folder), f'#line {number} "bpf/{name}"']
    return "\n".join(lines)


def _compile(bcc: Any, text: str, switches: Mapping[str, int], large: bool) -> Any:
    """Return the text compiled as a bcc.BPF. Raises CompileError, PrivilegeError."""
    flags = [*(f"-D{name}={_c_number(value)}" for name, value in switches.items()), "-Wno-macro-redefined"]
    with _compiler_output() as log:
        if large and not _compiles(bcc, text, flags):
            log.seek(0)
            raise _compile_error(Exception(TOO_LARGE), log.read())
        try:
            return bcc.BPF(text=text.encode(), cflags=flags)
        except Exception as error:
            log.seek(0)
            raise _compile_error(error, log.read()) from None


def _c_number(value: int) -> str:
    return f"{value}ULL" if value >> 31 else str(value)


def _compiles(bcc: Any, text: str, flags: list[str]) -> bool:
    """True if the compiler survives: LLVM ends its process on a program that is too large for BPF."""
    child = os.fork()
    if child == 0:
        try:
            bcc.BPF(text=text.encode(), cflags=flags)
        finally:  # an exception of bcc will be raised in the parent, too
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@contextlib.contextmanager
def _compiler_output() -> Iterator[Any]:
    """Redirect what clang prints on descriptor 2 to a file in memory, and yield that: no folder may be writable."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.memfd_create("clang"), "w+", errors="replace") as log:
        os.dup2(log.fileno(), 2)
        try:
            yield log
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _maps(bcc: Any, bpf: Any) -> dict[str, int]:
    """Return the descriptors of all maps by name. The list is in bcc's library, not in its Python."""
    library = bcc.libbcc.lib
    name = library.bpf_table_name
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_size_t]
    library.bpf_num_tables.argtypes = [ctypes.c_void_p]
    names = [name(bpf.module, number) for number in range(library.bpf_num_tables(bpf.module))]
    return {name.decode(): int(bpf[name].map_fd) for name in names}


def _code(bcc: Any, bpf: Any, function: str) -> bytes:
    """Return the instructions of a function, with the maps' descriptors in them."""
    library = bcc.libbcc.lib
    start = library.bpf_function_start(bpf.module, function.encode())
    return ctypes.string_at(start, library.bpf_function_size(bpf.module, function.encode()))


def _compile_error(error: Exception, log: str) -> KernelError:
    first = next((line for line in log.splitlines() if _CLANG_ERROR.match(line)), "")
    if first:
        return CompileError(f"clang rejects the program: {first}", log)
    if missing_capabilities():
        return not_permitted("making maps")
    if old := lacking():
        return KernelError(old)
    reason = " ".join([str(error), *log.splitlines()]).strip() or type(error).__name__
    return CompileError(f"bcc cannot make the program: {reason}", log)
