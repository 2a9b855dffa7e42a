"""A plan -> the capabilities that a running capture still needs; all others are dropped for good.

A new thread inherits the capabilities of the thread that starts it, so they must be dropped before others start.
"""

import contextlib
import os
from collections.abc import Callable

from capture.kernel import syscall
from capture.kernel.features import CAPABILITIES, attaches_filters, held_capabilities
from capture.plan import CapturePlan

FILE_CAPABILITIES = frozenset({"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER"})
"""Capabilities to write into a directory of another user, or to give a file to one."""
_READ_CODE = frozenset({"CAP_DAC_READ_SEARCH"})
"""Capability to run a Python that is in another user's home; modules are imported until the end."""


def needed_later(plan: CapturePlan) -> frozenset[str]:
    """Return the capabilities needed after the start: none, unless pods are followed or detaching needs some."""
    needed: set[str] = set()
    if plan.spec.follows:
        needed |= {"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"}
    if attaches_filters(plan.hook):
        needed.add("CAP_NET_ADMIN")
    if plan.spec.netns or any(i.interface.netns_path for i in plan.interfaces):
        needed.add("CAP_SYS_ADMIN")
    return frozenset(needed)


def drop_unused() -> None:
    """Drop all privileges that no capture uses; call this before the plan is made."""
    drop(frozenset(CAPABILITIES))


def drop(keep: frozenset[str], works: Callable[[], object] = lambda: None) -> frozenset[str]:
    """Drop all capabilities of this thread except `keep`. Returns those it has left.

    `works` tries an operation that is needed later. If it raises PermissionError, CAP_BPF is kept: reading maps
    needed that before Linux 5.19.
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
