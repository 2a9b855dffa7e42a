"""The libraries of this process -> the version of the LLVM that bcc uses."""

import re
from collections.abc import Iterable

_LIBRARY = re.compile(r"/libLLVM(?:-(\d+)[^/]*|\.so\.(\d+)[^/]*)$")


def loaded_llvm(maps: Iterable[str]) -> str:
    """Return the major version from the lines of /proc/self/maps, after bcc's import; "" if LLVM is inside libbcc.

    Distributions name the library libLLVM-14.so.1, libLLVM-15.so or libLLVM.so.19.1. numba's LLVM has another name.
    """
    for line in maps:
        match = _LIBRARY.search(line.rstrip())
        if match:
            return match[1] or match[2]
    return ""
