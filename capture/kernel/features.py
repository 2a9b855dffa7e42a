"""What this kernel can do, by looking for the thing itself and never at the version."""

import functools

from capture.spec import Hook

BTF = "/sys/kernel/btf/vmlinux"


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
