"""What a running capture still has to do -> the capabilities it keeps; all others are given up for good.

A thread that is started later has what its starter had, so this must come before there are others.
"""

import contextlib
import os
from collections.abc import Callable

from capture.kernel import syscall
from capture.kernel.features import CAPABILITIES, held_capabilities
from capture.plan import CapturePlan
from capture.spec import Hook

FILE_CAPABILITIES = frozenset({"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER"})
"""To write into a directory that is not ours, or a file that is to be another's."""
_READ_CODE = frozenset({"CAP_DAC_READ_SEARCH"})
"""What lets a user other than root run a Python that lies in somebody's home; modules are imported until the end."""


def needed_later(plan: CapturePlan) -> frozenset[str]:
    """What is needed after the programs are attached: nothing, unless pods come, or something is to be detached."""
    needed: set[str] = set()
    if plan.spec.follows:
        needed |= {"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"}
    if plan.hook is Hook.CLSACT:
        needed.add("CAP_NET_ADMIN")
    if plan.spec.netns or any(i.interface.netns_path for i in plan.interfaces):
        needed.add("CAP_SYS_ADMIN")
    return frozenset(needed)


def drop(keep: frozenset[str], works: Callable[[], object] = lambda: None) -> frozenset[str]:
    """Give up all capabilities of this thread but these; what is left.

    `works` does what is done later, and raises OSError if that takes CAP_BPF, as it did before Linux 5.19.
    """
    held = held_capabilities()
    left = held & (keep if os.geteuid() == 0 else keep | _READ_CODE)
    syscall.set_capabilities(_mask(left), permitted=_mask(held))
    try:
        works()
    except PermissionError:
        left |= held & {"CAP_BPF"}
    with contextlib.suppress(OSError):  # a kernel without ambient capabilities
        syscall.clear_ambient_capabilities()
    syscall.set_capabilities(_mask(left), permitted=_mask(left))
    return left


def _mask(names: frozenset[str]) -> int:
    return sum(1 << CAPABILITIES[name] for name in names)
