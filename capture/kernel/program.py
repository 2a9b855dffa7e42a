"""bpf/capture.c and a plan's filter.h -> programs in the kernel, one per interface and side.

bcc compiles the text and makes the maps; the instructions are loaded here, so that the verifier's log is ours
and each program gets its row of accounts put into the code.
"""

import contextlib
import errno
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from capture.errors import CompileError, MissingBccError, PrivilegeError, VerifierError
from capture.filters.program import FilterProgram
from capture.kernel import syscall
from capture.kernel.counters import possible_cpus
from capture.kernel.features import missing_capabilities
from capture.plan import CapturePlan
from capture.sampling.program import SamplingProgram
from capture.spec import Hook
from capture.stream.layout import BPF_FOLDER, HOOK_FROM_POD, HOOK_TO_POD, HOOKS

ROW_PLACEHOLDER, SHARED_PLACEHOLDER = 0x5107A51075107A51, 0x5107A51075107A52
"""The constants in bpf/maps.h and bpf/groups.h that the loader replaces."""
HOOK_OF = {"from_pod": HOOK_FROM_POD, "to_pod": HOOK_TO_POD}
"""The programs of an interface, and their hooks."""
_PASSES = "packet_passes"
_LD_IMM64, _PSEUDO_MAP_FD = 0x18, 1
_TC = {"kind": syscall.BPF_PROG_TYPE_SCHED_CLS}
_XDP = {
    "kind": syscall.BPF_PROG_TYPE_XDP,
    "attach_type": syscall.BPF_XDP,
    "flags": syscall.BPF_F_XDP_HAS_FRAGS,  # frames may lie in several pages, as with a large MTU
}
_INCLUDE = re.compile(r'^#include "(.+)"$')
_CLANG_ERROR = re.compile(r".+:\d+:\d+: (fatal )?error: |error: ")
_NO_VERDICT = re.compile(r"processed |verification time|stack depth|(old|cur) state:")
_LOG_SIZE = 16 << 20
_LARGE = 64 << 10
"""Bytes of generated C from which a compiler's failure must be reckoned with."""
_TOO_LARGE = "the filter is too large; ask for less, or give exact conversations with --sessions"
_SIZE = re.compile("too large|too complex|out of range from insn")
BCC_REMEDY = "install the distribution's python3-bpfcc (Fedora: python3-bcc) and make it visible to this Python"


def import_bcc() -> Any:
    """The bcc module of iovisor. Raises MissingBccError, also for PyPI's unrelated package of that name."""
    try:
        import bcc
    except Exception as error:  # also OSError where libbcc.so is missing
        raise MissingBccError(f"bcc cannot be imported ({error}); {BCC_REMEDY}") from None
    if not hasattr(bcc, "BPF"):
        raise MissingBccError(f"the package bcc in {_place(bcc)} is PyPI's, an unrelated project; {BCC_REMEDY}")
    return bcc


def _place(module: Any) -> str:
    return module.__file__ or next(iter(module.__path__), "?")  # a folder without __init__.py has no file


def join_sources(name: str, generated: Mapping[str, str], folder: Path = BPF_FOLDER) -> str:
    """A C file and its quoted includes as one text, with #line so that errors name the right file."""
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


@contextlib.contextmanager
def _compiler_output() -> Iterator[Any]:
    """What clang prints on descriptor 2, into a file instead."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        os.dup2(log.fileno(), 2)
        try:
            yield log
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _compiles(bcc: Any, text: str, flags: list[str]) -> bool:
    """Whether the compiler survives: on a program that BPF cannot hold, LLVM ends the process it runs in."""
    child = os.fork()
    if child == 0:
        try:
            bcc.BPF(text=text.encode(), cflags=flags)
        finally:  # what bcc merely raises, it raises again in the parent
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _compiled(bcc: Any, text: str, switches: Mapping[str, int], large: bool) -> Any:
    """The text as a bcc.BPF. Raises CompileError, PrivilegeError."""
    flags = [*(f"-D{name}={value}" for name, value in switches.items()), "-Wno-macro-redefined"]
    with _compiler_output() as log:
        if large and not _compiles(bcc, text, flags):
            log.seek(0)
            raise _compile_error(Exception(_TOO_LARGE), log.read())
        try:
            return bcc.BPF(text=text.encode(), cflags=flags)
        except Exception as error:
            log.seek(0)
            raise _compile_error(error, log.read()) from None


class Module:
    """A compiled text: its maps (made), and its programs (not yet loaded)."""

    def __init__(
        self, wanted: FilterProgram, sampling: SamplingProgram, defines: Mapping[str, int], xdp: bool = False
    ) -> None:
        bcc = import_bcc()
        os.environ["BCC_KERNEL_SOURCE"] = str((BPF_FOLDER / "headers").resolve())
        text = join_sources("capture.c", {"filter.h": wanted.header, "sampling.h": sampling.header})
        switches = dict((*wanted.switches, *sampling.switches, *defines.items()))
        self._library = bcc.libbcc.lib
        large = len(wanted.header) > _LARGE
        self._bpf = _compiled(bcc, text, switches | {"XDP": 0}, large)
        self._xdp: bytes | None = None
        if xdp:
            # The same text once more, with maps of its own: its code is made to use those that are there.
            other = _compiled(bcc, text, switches | {"XDP": 1}, large)
            fds = {self._fd(other, name): self._fd(self._bpf, name) for name in self._map_names(other)}
            self._xdp = with_maps(self._code(other, _PASSES), fds)
            other.cleanup()

    def _map_names(self, bpf: Any) -> list[bytes]:
        """bcc's Python has no list of its maps; its library does."""
        import ctypes

        name = self._library.bpf_table_name
        name.restype, name.argtypes = ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_size_t]
        self._library.bpf_num_tables.argtypes = [ctypes.c_void_p]
        return [name(bpf.module, number) for number in range(self._library.bpf_num_tables(bpf.module))]

    @staticmethod
    def _fd(bpf: Any, name: bytes) -> int:
        return int(bpf[name].map_fd)

    def map_fd(self, name: str) -> int:
        """The descriptor of a map."""
        return self._fd(self._bpf, name.encode())

    def _code(self, bpf: Any, function: str) -> bytes:
        """A function as compiled, with the maps' descriptors in it."""
        import ctypes

        start = self._library.bpf_function_start(bpf.module, function.encode())
        return ctypes.string_at(start, self._library.bpf_function_size(bpf.module, function.encode()))

    def instructions(self, function: str) -> bytes:
        """A function of a tc program."""
        return self._code(self._bpf, function)

    def load(self, entry: str, slot: int = 0, *, shared: bool = False, xdp: bool = False) -> int:
        """Load from_pod or to_pod for the interface of a slot, or flush_waiting; the descriptor.

        `shared`: pods share the interface with their node; `xdp`: for XDP, if the module was made for that, too.
        Raises VerifierError, PrivilegeError.
        """
        if entry in HOOK_OF:
            code = self._xdp if xdp else self.instructions(_PASSES)
            assert code is not None, "the module was made without programs for XDP"
            code = with_constant(code, ROW_PLACEHOLDER, slot * HOOKS + HOOK_OF[entry], needed=True)
            code = with_constant(code, SHARED_PLACEHOLDER, int(shared), needed=shared)
        else:
            code = self.instructions(entry)
        kind = _XDP if xdp else _TC
        try:
            return syscall.prog_load(code, entry, **kind)
        except OSError as error:  # EACCES is the verifier's
            if error.errno == errno.EPERM:
                raise not_permitted("loading a program") from None
        # Again, for the log: asking for it always would slow every start.
        try:
            return syscall.prog_load(code, entry, **kind, log_size=_LOG_SIZE)
        except OSError as error:
            if missing_capabilities():
                raise not_permitted("loading a program") from None
            log = str(error.filename or "")
            verdict = _verdict(log) or error.strerror or ""
            remedy = f"; {_TOO_LARGE}" if error.errno == errno.E2BIG or _SIZE.search(verdict) else ""
            raise VerifierError(f"the kernel rejects {entry}: {verdict}{remedy}", log) from None

    def close(self) -> None:
        """Give the maps back; loaded programs keep those they use."""
        self._bpf.cleanup()


def module_of(plan: CapturePlan) -> Module:
    """The programs of a plan, compiled. Raises CompileError, MissingBccError, PrivilegeError."""
    return Module(
        plan.filter,
        plan.sampling,
        {
            "SNAPLEN": plan.spec.snaplen,
            "ROWS": plan.rows,
            "CPUS": possible_cpus(),
            "BATCHING": int(plan.batching),
            "RING_BYTES": plan.ring_bytes,
        },
        xdp=plan.hook is Hook.XDP,
    )


def with_constant(instructions: bytes, placeholder: int, value: int, needed: bool) -> bytes:
    """Put a 32-bit value in place of a placeholder, in every 64-bit load of it."""
    code = bytearray(instructions)
    low, high = placeholder & 0xFFFFFFFF, placeholder >> 32
    found = 0
    for at in range(0, len(code) - 8, 8):
        if code[at] != _LD_IMM64:
            continue
        words = [int.from_bytes(code[at + i : at + i + 4], sys.byteorder) for i in (4, 12)]
        if words == [low, high]:
            code[at + 4 : at + 8] = value.to_bytes(4, sys.byteorder)
            code[at + 12 : at + 16] = bytes(4)
            found += 1
    if needed and not found:
        raise CompileError(f"bug: the compiled program does not load {placeholder:#x}")
    return bytes(code)


def with_maps(instructions: bytes, fds: Mapping[int, int]) -> bytes:
    """Put other maps in place of those that the code uses, by their descriptors."""
    code = bytearray(instructions)
    for at in range(0, len(code), 8):
        if code[at] == _LD_IMM64 and code[at + 1] >> 4 == _PSEUDO_MAP_FD:
            fd = int.from_bytes(code[at + 4 : at + 8], sys.byteorder)
            code[at + 4 : at + 8] = fds[fd].to_bytes(4, sys.byteorder)
    return bytes(code)


def not_permitted(what: str) -> PrivilegeError:
    """Why the kernel answers EPERM to bpf(2)."""
    missing = missing_capabilities()
    if missing:
        return PrivilegeError(f"{what} needs {' and '.join(missing)}; run as root")
    return PrivilegeError(f"{what} is forbidden in spite of all capabilities; allow bpf(2) in the seccomp profile")


def _compile_error(error: Exception, log: str) -> CompileError | PrivilegeError:
    first = next((line for line in log.splitlines() if _CLANG_ERROR.match(line)), "")
    if first:
        return CompileError(f"clang rejects the program: {first}", log)
    if missing_capabilities():
        return not_permitted("making maps")
    said = " ".join([str(error), *log.splitlines()]).strip() or type(error).__name__
    return CompileError(f"bcc cannot make the program: {said}", log)


def _verdict(log: str) -> str:
    """The line that says why: the last one that tells neither a state nor statistics."""
    return next((line for line in reversed(log.splitlines()) if line and not _NO_VERDICT.match(line)), "")
