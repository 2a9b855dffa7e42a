"""The needs of a capture -> probes that try each of them where it disturbs nobody, and leave nothing behind.

CHECKS lists them, causes before consequences.
"""

import errno
import os
import resource
import time
from collections.abc import Sequence

from capture.errors import KernelError, MissingBccError, PrivilegeError
from capture.kernel import syscall
from capture.kernel.attach import EGRESS, INGRESS, attach
from capture.kernel.checks import Answer, Check
from capture.kernel.compiler import import_bcc
from capture.kernel.counters import online_cpus
from capture.kernel.features import (
    BTF,
    NEEDED,
    NOTHING,
    can_visit,
    choose_hook,
    has_tcx,
    missing_capabilities,
    not_permitted,
)
from capture.kernel.frozen import makes_ring
from capture.kernel.llvm import loaded_llvm
from capture.kernel.netns import Namespace
from capture.kernel.program import Module, compiled_now
from capture.kernel.rings import refused
from capture.kernel.wallclock import clock_state
from capture.plan import RING_MIN, WATERMARK_MAX, Interface, make_plan, overflow_bytes, place_of, share_buffer
from capture.spec import BUFFER_DEFAULT, CaptureSpec, Hook
from capture.units import format_duration, format_size

_AS_ROOT = "run as root, or grant it (securityContext.capabilities.add in a pod)"
_LOOPBACK = Interface("lo", 1, 0)


def _capabilities() -> Answer:
    missing = missing_capabilities()
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    if missing:
        return Answer(False, f"{who}, without {', '.join(missing)}", _AS_ROOT)
    return Answer(True, f"{who}, with {', '.join(NEEDED)}")


def _other_namespaces() -> Answer:
    if missing_capabilities(("CAP_SYS_ADMIN",)):
        return Answer(False, "no CAP_SYS_ADMIN: --netns cannot be used", _AS_ROOT)
    return Answer(True, "CAP_SYS_ADMIN is there, for --netns")


def _bpf() -> Answer:
    try:
        os.close(_load_nothing())
    except PermissionError:
        return _refusal(not_permitted("loading a program"))
    except OSError as error:
        return Answer(False, f"bpf(2) answers {error.strerror}", "use a kernel with CONFIG_BPF_SYSCALL")
    return Answer(True, "a program was loaded")


def _refusal(error: KernelError) -> Answer:
    """Return an error of ours as an answer: the text behind its semicolon is the remedy."""
    text, _, remedy = str(error).partition("; ")
    return Answer(False, text, remedy)


def _load_nothing() -> int:
    return syscall.prog_load(NOTHING, "bicap_doctor")


def _btf() -> Answer:
    if os.access(BTF, os.R_OK):
        return Answer(True, f"{BTF} is there")
    return Answer(False, f"no {BTF}: unknown if the kernel has tcx, so clsact is used", "give --hook tcx")


def _bcc() -> Answer:
    try:
        bcc = import_bcc()
    except MissingBccError as error:
        return _refusal(error)
    with open("/proc/self/maps") as maps:
        llvm = loaded_llvm(maps)
    return Answer(True, f"version {bcc.__version__}, with {f'LLVM {llvm}' if llvm else 'an LLVM of its own'}")


def _program() -> Answer:
    plan = make_plan(
        CaptureSpec(interfaces=(_LOOPBACK.name,)),
        [place_of(_LOOPBACK)],
        choose_hook(Hook.AUTO),
        online_cpus(),
        batching=True,
    )
    began = time.monotonic_ns()
    try:
        module = compiled_now(plan)
        compiled = format_duration(time.monotonic_ns() - began)
        try:
            sizes = [f"{entry}{_verify(module, entry)}" for entry in ("from_pod", "to_pod")]
        finally:
            module.close()
    except PrivilegeError as error:
        return _refusal(error)
    except KernelError as error:
        return Answer(False, str(error), "compare `uname -r` with the kernels that docs/kernels.md lists")
    return Answer(True, f"compiled in {compiled} with bicap's own headers; verified {' and '.join(sizes)}")


def _verify(module: Module, entry: str) -> str:
    """How many instructions the verifier went through, where the kernel says so (Linux 5.16)."""
    program = module.load(entry, 0)
    try:
        instructions = syscall.prog_stats(program).instructions
        return f" ({instructions} instructions)" if instructions else ""
    finally:
        os.close(program)


def _hook(hook: Hook) -> None:
    """Attach a program to both sides of the loopback of a new namespace. Raises OSError, KernelError."""
    namespace = Namespace.fresh()
    try:
        program = _load_nothing()
        try:
            for side in (INGRESS, EGRESS):
                attach(hook, program, _LOOPBACK, side, namespace).close()
        finally:
            os.close(program)
    finally:
        namespace.close()


def _tcx() -> Answer:
    remedy = "Linux 6.6 has it; with clsact a killed capture leaves its filter until the next one starts"
    try:
        _hook(Hook.TCX)
    except PermissionError:
        text = "not tried (making a namespace for that needs CAP_SYS_ADMIN); "
        known = has_tcx()
        states = {
            True: "the kernel has it",
            False: "the kernel does not have it",
            None: "unknown if the kernel has it",
        }
        return Answer(known, text + states[known], remedy)
    except KernelError as error:
        return Answer(False, str(error), remedy)
    return Answer(True, "a program was attached, both ways")


def _clsact() -> Answer:
    try:
        _hook(Hook.CLSACT)
    except PermissionError:
        return Answer(None, "not tried: making a namespace for that needs CAP_SYS_ADMIN")
    except KernelError as error:
        return Answer(False, str(error), "use a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF")
    return Answer(True, "a filter was attached, both ways")


def _rings() -> Answer:
    cpus = online_cpus()
    size, shared = _divided(BUFFER_DEFAULT, cpus)
    failure = _map_rings(cpus, size)
    if failure is None:
        made = f", and one of {format_size(shared)} for all CPUs was made" if shared else ""
        return Answer(True, f"{len(cpus)} of {format_size(size)} were mapped{made}, the default --buffer")
    answer = _refusal(refused(failure, size, cpus[0]))
    if failure.errno != errno.EPERM:
        return answer
    return Answer(False, f"{answer.text} ({_memory_limits()})", f"{answer.remedy}; {_largest_buffer(cpus)}")


def _divided(buffer: int, cpus: Sequence[int]) -> tuple[int, int]:
    """Return the bytes of each ring and of the overflow ring, as a capture of now would have them."""
    return share_buffer(buffer, len(cpus), makes_ring(overflow_bytes(buffer)))


def _memory_limits() -> str:
    with open("/proc/sys/kernel/perf_event_mlock_kb") as limit:
        kernel = f"kernel.perf_event_mlock_kb {limit.read().strip()}"
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return f"{kernel}, RLIMIT_MEMLOCK {'unlimited' if locked == resource.RLIM_INFINITY else format_size(locked)}"


def _largest_buffer(cpus: Sequence[int]) -> str:
    buffer = BUFFER_DEFAULT
    while buffer >= 2 * RING_MIN * len(cpus):
        buffer //= 2
        if _map_rings(cpus, _divided(buffer, cpus)[0]) is None:
            return f"--buffer {buffer >> 10}KiB works"
    return "no --buffer works"


def _map_rings(cpus: Sequence[int], size: int) -> OSError | None:
    """Open and map a ring for each CPU, as a capture does, and unmap them. Returns the error if there was one."""
    length = os.sysconf("SC_PAGESIZE") + size
    events, mapped = [], []
    try:
        for cpu in cpus:
            events.append(syscall.open_output_event(cpu, WATERMARK_MAX))
            access = syscall.PROT_READ | syscall.PROT_WRITE
            mapped.append(syscall.mmap(0, length, access, syscall.MAP_SHARED, events[-1]))
    except OSError as error:
        return error
    finally:
        for address in mapped:
            syscall.munmap(address, length)
        for event in events:
            os.close(event)
    return None


def _reasons() -> Answer:
    from capture.kernel.btf import Btf
    from capture.kernel.reasons import Symbols, reason_features

    features = reason_features(Btf())
    try:
        loaded = syscall.prog_load(NOTHING, "bicap_probe", syscall.RAW_TRACEPOINT)
        try:
            os.close(syscall.raw_tracepoint_open("kfree_skb", loaded))
        finally:
            os.close(loaded)
    except OSError as error:
        return Answer(False, f"{error.strerror}: no program can be attached to tracepoints", "grant CAP_PERFMON")
    if not features.drops:
        return Answer(
            False,
            "the kernel says where it drops a packet, not why; the reasons came with Linux 5.17",
            "use a newer one",
        )
    resets = (
        f", {len(features.resets)} of resets" if features.resets else "; of resets none, which came with Linux 6.10"
    )
    places = "" if Symbols().known else "; places have no names, which needs CAP_SYSLOG"
    return Answer(True, f"{len(features.drops)} reasons of drops{resets}{places}")


def _statistics() -> Answer:
    try:
        os.close(syscall.enable_run_time_stats())
    except OSError as error:
        return Answer(False, f"{error.strerror}: the kernel's cost per packet stays unknown", "grant CAP_SYS_ADMIN")
    return Answer(True, "the kernel times programs when asked")


def _clock() -> Answer:
    state = clock_state()
    remedy = "let chrony or systemd-timesyncd keep it, or captures of two nodes cannot be compared"
    return Answer({"unknown": None, "not synchronised": False}.get(state, True), state, remedy)


def _loops() -> Answer:
    began = time.monotonic_ns()
    try:
        from capture.stream.compiled import portions

        portions.compiled()
    except Exception as error:
        return Answer(False, f"numba cannot compile: {error}", "set NUMBA_CACHE_DIR to a folder you may write to")
    return Answer(True, f"ready in {format_duration(time.monotonic_ns() - began)}")


def _cache() -> Answer:
    from capture.stream.compiled import merge

    folder = merge.merge.stats.cache_path
    if folder and os.access(folder, os.W_OK):
        return Answer(True, f"kept in {folder}")
    text = "compiled loops cannot be cached: each start takes seconds longer"
    return Answer(False, text, "set NUMBA_CACHE_DIR to a folder you may write to")


def _cpus() -> Answer:
    cpus = online_cpus()
    if can_visit(cpus):
        return Answer(True, f"each of the {len(cpus)} may be visited")
    text = f"a cpuset forbids some of the {len(cpus)}: small packets are submitted one by one, which costs more"
    return Answer(False, text, "allow all CPUs")


CHECKS = (
    Check("capabilities", _capabilities),
    Check("netns", _other_namespaces, required=False),
    Check("bpf", _bpf),
    Check("btf", _btf, required=False),
    Check("bcc", _bcc),
    Check("program", _program, needs=("bpf", "bcc")),
    Check("tcx", _tcx, required=False, needs=("bpf",)),
    Check("clsact", _clsact, needs=("bpf",), unless="tcx"),
    Check("rings", _rings),
    Check("reasons", _reasons, required=False, needs=("bpf", "btf", "bcc")),
    Check("statistics", _statistics, required=False),
    Check("loops", _loops),
    Check("cache", _cache, required=False, needs=("loops",)),
    Check("cpus", _cpus, required=False, needs=("loops",)),
    Check("clock", _clock, required=False),
)
