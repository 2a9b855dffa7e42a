"""The libraries of this process -> which LLVM bcc brought with it."""

import re
from collections.abc import Iterable

_LIBRARY = re.compile(r"/libLLVM(?:-(\d+)[^/]*|\.so\.(\d+)[^/]*)$")


def loaded_llvm(maps: Iterable[str]) -> str:
    """Its major version by the lines of /proc/self/maps once bcc is imported; "" if it is inside libbcc itself.

    Distributions call it libLLVM-14.so.1, libLLVM-15.so or libLLVM.so.19.1. numba's is in a library of another name.
    """
    for line in maps:
        found = _LIBRARY.search(line.rstrip())
        if found:
            return found[1] or found[2]
    return ""
