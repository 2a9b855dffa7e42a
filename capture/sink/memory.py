"""Memory, which may be the kernel's rings -> bytes behind a descriptor: from where they lie, or copied.

9p pins the pages that it is given, and those of perf rings cannot be pinned on newer kernels (seen on Linux 7.3): the
write fails with EFAULT, and is repeated from a copy.
"""

import errno
import os
from collections.abc import Sequence


def write_at(descriptor: int, parts: Sequence[memoryview], offset: int) -> int:
    """Write parts behind each other at an offset of a file. Returns the bytes that were taken. Raises OSError."""
    try:
        if len(parts) == 1:  # nearly always
            return os.pwrite(descriptor, parts[0], offset)
        return os.pwritev(descriptor, parts, offset)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise
    return os.pwrite(descriptor, b"".join(parts), offset)


def write_on(descriptor: int, part: memoryview) -> int:
    """Write a part where the descriptor stands. Returns the bytes that were taken. Raises OSError."""
    try:
        return os.write(descriptor, part)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise
    return os.write(descriptor, bytes(part))
