"""A Python function over arrays -> machine code by numba, cached on disk for the next start."""

import functools
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import config, njit, types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, InTreeCacheLocator
from numba.core.runtime import rtsys

# numba writes the whole type of a named tuple, with every field of its records, into the name of every function that
# takes one: such names were five sixths of the cached code, which each start reads. The tuple's own name is enough.
types.NamedTuple.mangling_args = property(lambda self: (self.instance_class.__name__, ()))


@functools.cache
def _stamp() -> tuple[int, int]:
    """Return a value that changes when a file changes from which loops are made."""
    folder = Path(__file__).parents[1]
    # Constants that loops use, such as the sizes of tables, are in the folder above theirs.
    compiled = [*folder.glob("*/compiled"), *folder.glob("*/*/compiled")]
    made_from = [file for loops in compiled for place in (loops, loops.parent) for file in place.glob("*.py")]
    made_from += [folder / "abi.py", folder / "bpf" / "abi.h"]
    found = [file.stat() for file in made_from]
    return max(file.st_mtime_ns for file in found), sum(file.st_size for file in found)


class _BesideSource(InTreeCacheLocator):  # type: ignore[misc]  # numba has no types
    """The folder beside a source file, also where nothing can be written."""

    @classmethod
    def from_function(cls, function: Any, file: str) -> "_BesideSource":
        return cls(function, file)


class _Places(CompileResultCacheImpl):  # type: ignore[misc]
    """Where code can be kept: numba's places, and if none can be written, the folder that may have it already."""

    _locator_classes = (*CompileResultCacheImpl._locator_classes, _BesideSource)


class KeptCode(FunctionCache):  # type: ignore[misc]
    """A function's machine code on disk, loaded without initializing the compiler.

    numba's own cache first registers everything that numba can compile, which delays each command
    (docs/decisions/0001). Here this happens only if the function is not in the cache and has to be compiled.
    `allocates`: the code needs numba's runtime, which numba compiles anew in each process (20 ms).

    What was compiled at the installation lies beside the source. Whoever may not write there has their own place,
    and takes from beside the source what that does not have: compiling all takes ten seconds. Where NUMBA_CACHE_DIR
    names a place, it is the only one: what is compiled for it may check bounds, or be for every CPU.
    """

    _impl_class = _Places

    def __init__(self, function: Any, allocates: bool) -> None:
        super().__init__(function)
        self._allocates = allocates
        beside = _BesideSource(function, function.__code__.co_filename).get_cache_path()
        installed = IndexDataCacheFile(beside, self._impl.filename_base, None)
        self._kept_in = [self._cache_file] if config.CACHE_DIR else [self._cache_file, installed]
        for file in self._kept_in:
            # A loop has the machine code of those that it calls, and the layouts of abi.h, in its own.
            file._source_stamp = _stamp()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the cached code for a signature, or None."""
        if self._allocates:
            rtsys.initialize(target_context)
        key = self._index_key(sig, target_context.codegen())
        for file in self._kept_in:
            try:
                kept = file.load(key)
                if kept is not None:
                    return self._impl.rebuild(target_context, kept)
            except (ImportError, AttributeError):  # kept by an earlier version, whose types had other names
                with suppress(OSError):  # its user cannot write there: compiled anew at each start
                    file.flush()
            except PermissionError:  # the index of somebody else
                continue
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code, where something can be written: elsewhere it is compiled at each start."""
        with suppress(OSError):
            super().save_overload(sig, data)


def loop(function: Any) -> Any:
    """Return the function compiled."""
    return _kept(function)


def borrowing_loop(function: Any) -> Any:
    """Compile a loop that allocates nothing and calls only loops that allocate nothing.

    The caller owns all arrays, so references to them need not be counted: counting is atomic, and takes twice as long
    as everything else where tables are passed on for each packet.
    """
    return _kept(function, allocates=False)


def inlined_loop(function: Any) -> Any:
    """Compile a loop as borrowing_loop does, as a part of the one that calls it.

    For what is done for each packet, and called at one place: a call copies every word of the arrays that it passes
    on, which for a tuple of tables are ninety.
    """
    return _kept(function, allocates=False, forceinline=True)


def c_function(name: str, *words: str) -> Any:
    """Return a C function for use in loops: `words` are the types of its result and its arguments, like "uint32".

    Its library must have been loaded with RTLD_GLOBAL before the first loop that calls it is compiled or loaded.
    """
    result, *arguments = (getattr(types, word) for word in words)
    return types.ExternalFunction(name, result(*arguments))


def _kept(function: Any, allocates: bool = True, forceinline: bool = False) -> Any:
    compiled = njit(nogil=True, _nrt=allocates, forceinline=forceinline)(function)
    compiled._cache = KeptCode(function, allocates)
    return compiled
