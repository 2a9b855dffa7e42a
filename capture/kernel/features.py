"""Probes of this kernel and process -> the kernel's features, and our capabilities.

A probe looks for the feature itself, never at the kernel's version.
"""

import errno
import functools
import os
import re
import resource
import struct
from collections.abc import Callable, Iterable

from capture.errors import AttachError, PrivilegeError
from capture.kernel import syscall
from capture.spec import Hook

BTF = "/sys/kernel/btf/vmlinux"
_STATUS, _LAST_CAPABILITY = "/proc/thread-self/status", "/proc/sys/kernel/cap_last_cap"

# include/uapi/linux/capability.h
CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_FOWNER": 3,
    "CAP_NET_ADMIN": 12,
    "CAP_IPC_LOCK": 14,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
"""Numbers of the capabilities that a capture may use."""
NEEDED = ("CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON")
"""Capabilities needed to load a tc program that computes with pointers, to attach it, and to open perf events."""


@functools.cache
def has_tcx() -> bool | None:
    """True if programs can be linked to tcx; None if that is unknown, because the kernel has no BTF."""
    try:
        with open(BTF, "rb") as btf:
            return b"\0tcx_link_attach\0" in btf.read()
    except OSError:
        return None


def _instruction(code: int, register: int = 0, immediate: int = 0, offset: int = 0) -> bytes:
    return struct.pack("=BBhi", code, register, offset, immediate)


_MOVE, _ADD, _JUMP_IF_LESS, _CALL, _EXIT = 0xB7, 0x07, 0xA5, 0x85, 0x95
_KTIME_GET_COARSE_NS = 160
NOTHING = _instruction(_MOVE) + _instruction(_EXIT)
"""A program that returns 0."""


def _answers(attempt: Callable[[], int]) -> bool | None:
    """True if the kernel gives a descriptor, False if it has no such thing, None if it does not permit it."""
    try:
        os.close(attempt())
    except OSError as error:
        return None if error.errno == errno.EPERM else False
    return True


def _loads(instructions: bytes, kind: syscall.ProgramType = syscall.SCHED_CLS) -> bool | None:
    return _answers(lambda: syscall.prog_load(instructions, "bicap_probe", kind))


@functools.cache
def has_coarse_clock() -> bool | None:
    """True if programs may call bpf_ktime_get_coarse_ns() (Linux 5.11), None if we may load none."""
    return _loads(_instruction(_CALL, immediate=_KTIME_GET_COARSE_NS) + _instruction(_EXIT))


@functools.cache
def has_xdp_in_pages() -> bool | None:
    """True if an XDP program may take frames in several pages (Linux 5.18), None if we may load none."""
    return _loads(NOTHING, syscall.XDP_IN_PAGES)


def has_loops() -> bool | None:
    """True if programs may jump back (Linux 5.3), None if we may load none."""
    counted = [_instruction(_MOVE), _instruction(_ADD, immediate=1), _instruction(_JUMP_IF_LESS, 0, 9, offset=-2)]
    return _loads(b"".join(counted) + _instruction(_EXIT))


def has_mapped_arrays() -> bool | None:
    """True if a process may map an array of BPF (Linux 5.5), None if we may make none."""
    return _answers(lambda: syscall.map_create(syscall.BPF_MAP_TYPE_ARRAY, 4, 8, 1, syscall.BPF_F_MMAPABLE))


def lacking() -> str:
    """Return an error text about features that every capture needs and this kernel lacks; "" if it has all."""
    missing = [text for has, text in (
        (has_loops, "loops in programs, which came with Linux 5.3"),
        (has_mapped_arrays, "arrays that a process can map, which came with Linux 5.5"),
    ) if has() is False]  # fmt: skip
    return f"this kernel has no {' and no '.join(missing)}; use Linux 5.10 or newer" if missing else ""


def can_visit(cpus: Iterable[int]) -> bool:
    """True if this thread may run on each of the CPUs: a cpuset can forbid it."""
    home = os.sched_getaffinity(0)
    try:
        for cpu in cpus:
            os.sched_setaffinity(0, {cpu})
    except OSError:
        return False
    finally:
        os.sched_setaffinity(0, home)
    return True


def attaches_filters(hook: Hook) -> bool:
    """True if the hook uses filters in a clsact qdisc, which somebody has to remove; links go with their process.

    XDP sees what is received; what is sent passes tcx, or a filter where the kernel has no tcx.
    """
    return hook is Hook.CLSACT or (hook is Hook.XDP and not has_tcx())


def choose_hook(asked: Hook) -> Hook:
    """Return the hook to use: the requested one, or for AUTO tcx where the kernel has it. Raises AttachError."""
    if asked is Hook.AUTO:
        return Hook.TCX if has_tcx() else Hook.CLSACT
    if asked is Hook.TCX and has_tcx() is False:
        raise AttachError("this kernel has no tcx, which came with Linux 6.6; use --hook clsact")
    if asked is Hook.XDP and has_xdp_in_pages() is False:
        raise AttachError(
            "this kernel's XDP has no frames in several pages (BPF_F_XDP_HAS_FRAGS), which came with Linux 5.18; "
            "use --hook auto"
        )
    return asked


def capabilities_in(status: str) -> frozenset[str]:
    """Return the capabilities of CAPABILITIES that a /proc/PID/status lists as effective."""
    line = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    mask = int(line[1], 16) if line else 0
    return frozenset(name for name, bit in CAPABILITIES.items() if mask >> bit & 1)


def held_capabilities() -> frozenset[str]:
    """Return the effective capabilities of this thread."""
    with open(_STATUS) as status:
        return capabilities_in(status.read())


def effective_capabilities(held: frozenset[str]) -> frozenset[str]:
    """Return `held` and the capabilities it includes: CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON (Linux 5.8)."""
    return held | {"CAP_BPF", "CAP_PERFMON"} if "CAP_SYS_ADMIN" in held else held


def missing_capabilities(needed: tuple[str, ...] = NEEDED) -> list[str]:
    """Return the needed capabilities that we lack, by the names that this kernel has for them."""
    held = effective_capabilities(held_capabilities())
    with open(_LAST_CAPABILITY) as last:
        known = int(last.read())
    lacking = [name for name in needed if name not in held]
    return list(dict.fromkeys(name if CAPABILITIES[name] <= known else "CAP_SYS_ADMIN" for name in lacking))


def not_permitted(what: str) -> PrivilegeError:
    """Return an error with the likely reason for which bpf(2) returned EPERM."""
    missing = missing_capabilities()
    if missing:
        return PrivilegeError(f"{what} needs {' and '.join(missing)}; run as root")
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit != resource.RLIM_INFINITY:
        return PrivilegeError(
            f"{what} is forbidden in spite of all capabilities; allow bpf(2) in the seccomp profile, and before "
            f"Linux 5.11 raise RLIMIT_MEMLOCK, which is {limit} bytes (ulimit -l unlimited)"
        )
    return PrivilegeError(f"{what} is forbidden in spite of all capabilities; allow bpf(2) in the seccomp profile")
