"""Compiled instructions -> programs in the kernel, one per interface and side.

bcc compiles the text and makes the maps (compiler.py). The instructions are loaded here, so that we have the
verifier's log, and can put the row of each program's counters into its code.
"""

import contextlib
import ctypes
import errno
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from capture.abi import HOOK_FROM_POD, HOOK_TO_POD, HOOKS
from capture.errors import KernelError, VerifierError
from capture.filters.filter_h import FilterProgram
from capture.kernel import compiler, kept, syscall
from capture.kernel.compiler import FLUSH, PASSES, TOO_LARGE, Compiled
from capture.kernel.counters import possible_cpus
from capture.kernel.features import has_coarse_clock, lacking, missing_capabilities, not_permitted
from capture.kernel.frozen import with_entries
from capture.kernel.instructions import with_constant
from capture.plan import CapturePlan
from capture.sampling.sampling_h import SamplingProgram
from capture.spec import Hook

ROW_PLACEHOLDER, SHARED_PLACEHOLDER = 0x5107A51075107A51, 0x5107A51075107A52
"""Constants in bpf/lib/maps.h and bpf/lib/groups.h that the loader replaces."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A program: its function in bpf/programs, and the hook whose counters it uses (None: no counters).

    A program with a hook is attached to tc, or to XDP if it sees received packets. Maps are declared in C.
    """

    function: str
    hook: int | None


PROGRAMS = {
    "from_pod": Declaration(PASSES, HOOK_FROM_POD),
    "to_pod": Declaration(PASSES, HOOK_TO_POD),
    "flush_waiting": Declaration(FLUSH, None),
}
"""All programs, by their names in the kernel."""
_NO_VERDICT = re.compile(r"processed |verification time|stack depth|(old|cur) state:")
_LOG_SIZE = 16 << 20
_SIZE = re.compile("too large|too complex|out of range from insn")


class Module:
    """The programs of a capture, not yet loaded, and its maps."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled

    def map_fd(self, name: str) -> int:
        """Return the descriptor of a map."""
        return self._compiled.maps[name]

    def load(self, entry: str, slot: int = 0, *, shared: bool = False, xdp: bool = False) -> int:
        """Load from_pod or to_pod for the interface of a slot, or flush_waiting. Returns the descriptor.

        `shared`: pods share the interface with their node. `xdp`: load the program for XDP; the module must have been
        compiled for that. Raises VerifierError, KernelError, PrivilegeError.
        """
        code, kind = self.program(entry, slot, shared=shared, xdp=xdp)
        return load_program(code, entry, kind)

    def program(
        self, entry: str, slot: int = 0, *, shared: bool = False, xdp: bool = False
    ) -> tuple[bytes, syscall.ProgramType]:
        """Return the instructions that `load` loads, and their program type."""
        declared = PROGRAMS[entry]
        code = self._compiled.xdp if xdp else self._compiled.code[declared.function]
        assert code is not None, "the module was made without programs for XDP"
        if declared.hook is None:
            return code, syscall.SCHED_CLS
        code = with_constant(code, ROW_PLACEHOLDER, slot * HOOKS + declared.hook, needed=True)
        code = with_constant(code, SHARED_PLACEHOLDER, int(shared), needed=shared)
        return code, syscall.XDP_IN_PAGES if xdp else syscall.SCHED_CLS

    def close(self) -> None:
        """Close the maps; loaded programs keep those that they use."""
        self._compiled.close()


def load_program(code: bytes, entry: str, kind: syscall.ProgramType) -> int:
    """Load a program and return its descriptor. Raises VerifierError, KernelError, PrivilegeError."""
    try:
        return syscall.prog_load(code, entry, kind)
    except OSError as error:  # the verifier's error is EACCES
        if error.errno == errno.EPERM:
            raise not_permitted("loading a program") from None
    # Load a second time for the log, which would slow every start if it were always requested.
    buffer = ctypes.create_string_buffer(_LOG_SIZE)
    try:
        return syscall.prog_load(code, entry, kind, log=buffer)
    except OSError as error:
        if missing_capabilities():
            raise not_permitted("loading a program") from None
        if old := lacking():
            raise KernelError(old) from None
        log = buffer.value.decode(errors="replace")
        verdict = _verdict(log) or error.strerror or ""
        remedy = f"; {TOO_LARGE}" if error.errno == errno.E2BIG or _SIZE.search(verdict) else ""
        raise VerifierError(f"the kernel rejects {entry}: {verdict}{remedy}", log) from None


def module_of(plan: CapturePlan) -> Module:
    """Return the programs of a plan, compiled now or before. Raises CompileError, MissingBccError, PrivilegeError."""
    compiled = kept.compiled_once(*_sources(plan), kept.folder())
    # So that one compiled program serves a memory of any size.
    if plan.memory is not None:
        compiled = with_entries(compiled, "chunks", plan.memory.chunks * len(plan.cpus))
    elif plan.overflow_bytes:
        compiled = with_entries(compiled, "overflow", plan.overflow_bytes)
    return Module(compiled)


@contextlib.contextmanager
def compiling_ahead(plan: CapturePlan) -> Iterator[None]:
    """Compile the programs of a plan in a thread while the block does something else, like loading modules.

    `module_of` then finds them. Errors are left to it. Nothing may be written to descriptor 2 in the block: the
    compiler's output is caught there.
    """
    if compiler.may_end_the_process(plan.filter):  # it would be tried in a fork, which is for a single thread
        yield
        return

    def compile_them() -> None:
        with contextlib.suppress(Exception):
            kept.compile_ahead(*_sources(plan), kept.folder())

    thread = threading.Thread(target=compile_them, name="compiler")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def compiled_now(plan: CapturePlan) -> Module:
    """Return the programs of a plan, compiled even if they are kept. Raises as `module_of`."""
    return Module(compiler.compile_programs(*_sources(plan)))


def _sources(plan: CapturePlan) -> tuple[FilterProgram, SamplingProgram, dict[str, int], bool]:
    """Return filter, sampling, macros, and True if the programs are also for XDP.

    Only programs with rates read the coarse clock; others are the same on all kernels.
    """
    coarse = dict(plan.sampling.switches)["RATES"] and has_coarse_clock()
    defines = {
        "SNAPLEN": plan.spec.snaplen,
        "ROWS": plan.rows,
        "CPUS": possible_cpus(),
        "BATCHING": int(plan.batching),
        "RING_BYTES": plan.ring_bytes,
        "OVERFLOW_BYTES": plan.overflow_bytes,
        "COARSE_CLOCK": int(coarse or False),
        "CHUNK_BYTES": plan.memory.chunk_bytes if plan.memory else 0,
    }
    return plan.filter, plan.sampling, defines, plan.hook is Hook.XDP


def _verdict(log: str) -> str:
    """Return the reason from a verifier's log: its last line that is neither a state nor statistics."""
    return next((line for line in reversed(log.splitlines()) if line and not _NO_VERDICT.match(line)), "")
