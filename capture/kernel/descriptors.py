"""The most interfaces that a capture can have -> a limit of open files that is high enough, where that is allowed."""

import contextlib
import resource

DESCRIPTORS = 4
"""Descriptors of one interface: two programs, two links. Those of a deleted pod are closed."""
_OTHERS = 256
"""Descriptors for the rest: rings, sockets, pipes of threads, files; two for each namespace captured from inside."""


def allow_descriptors(count: int) -> None:
    """Raise the soft limit, often 1,024, so that the capture may hold `count` descriptors besides those it needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHERS if hard == resource.RLIM_INFINITY else min(count + _OTHERS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
