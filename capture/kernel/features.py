"""What this kernel can do, by looking for the thing itself and never at the version; and what we may do."""

import functools
import re

from capture.errors import PrivilegeError
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
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
"""Those that a capture can have a use for."""
NEEDED = ("CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON")
"""To load a tc program that computes with pointers, to attach it, and to open perf events."""


@functools.cache
def has_tcx() -> bool | None:
    """Whether programs can be linked to tcx; None where the kernel does not tell (no BTF)."""
    try:
        with open(BTF, "rb") as btf:
            return b"\0tcx_link_attach\0" in btf.read()
    except OSError:
        return None


def choose_hook(asked: Hook) -> Hook:
    """The hook to use: tcx where the kernel has it, unless told otherwise."""
    if asked is not Hook.AUTO:
        return asked
    return Hook.TCX if has_tcx() else Hook.CLSACT


def capabilities_in(status: str) -> frozenset[str]:
    """Of CAPABILITIES, those that a /proc/PID/status shows as effective."""
    line = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    mask = int(line[1], 16) if line else 0
    return frozenset(name for name, bit in CAPABILITIES.items() if mask >> bit & 1)


def held_capabilities() -> frozenset[str]:
    """Those that this thread has."""
    with open(_STATUS) as status:
        return capabilities_in(status.read())


def effective_capabilities(held: frozenset[str]) -> frozenset[str]:
    """With those that they include: CAP_BPF and CAP_PERFMON were split from CAP_SYS_ADMIN (Linux 5.8)."""
    return held | {"CAP_BPF", "CAP_PERFMON"} if "CAP_SYS_ADMIN" in held else held


def missing_capabilities(needed: tuple[str, ...] = NEEDED) -> list[str]:
    """Those of the needed capabilities that we lack, by the names this kernel has for them."""
    held = effective_capabilities(held_capabilities())
    with open(_LAST_CAPABILITY) as last:
        known = int(last.read())
    lacking = [name for name in needed if name not in held]
    return list(dict.fromkeys(name if CAPABILITIES[name] <= known else "CAP_SYS_ADMIN" for name in lacking))


def not_permitted(what: str) -> PrivilegeError:
    """Why the kernel answers EPERM to bpf(2)."""
    missing = missing_capabilities()
    if missing:
        return PrivilegeError(f"{what} needs {' and '.join(missing)}; run as root")
    return PrivilegeError(f"{what} is forbidden in spite of all capabilities; allow bpf(2) in the seccomp profile")
