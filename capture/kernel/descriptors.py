"""The interfaces that a capture can have -> as many open files as that takes, where the limit allows it."""

import contextlib
import resource

DESCRIPTORS = 4
"""Of an interface: two programs, two links. A pod that went has given its own back."""
_OTHERS = 256
"""Rings, sockets, threads' pipes, files; of namespaces, two for each that is captured inside."""


def allow_descriptors(count: int) -> None:
    """Raise the soft limit, which is often 1,024, so that the capture may hold so many more than it does without."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHERS if hard == resource.RLIM_INFINITY else min(count + _OTHERS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
