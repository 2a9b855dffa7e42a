"""A Python function over arrays -> machine code, by numba, kept on disk for the next start."""

from contextlib import suppress
from typing import Any

from numba import njit, types
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

# numba writes the whole type of a named tuple, with every field of its records, into the name of every function that
# takes one: names were five sixths of the kept code, which each start reads. The tuple's own name is enough.
types.NamedTuple.mangling_args = property(lambda self: (self.instance_class.__name__, ()))


class KeptCode(FunctionCache):  # type: ignore[misc]  # numba has no types
    """A function's machine code on disk, loaded without what only a compiler needs.

    numba first fills its tables of all that it can compile, and a command waits for it (docs/decisions/0001).
    Where nothing is kept, its compiler does that still.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kept code for a signature, or None."""
        rtsys.initialize(target_context)
        return self._load_overload(sig, target_context)


def loop(function: Any) -> Any:
    """Compile a loop."""
    return _kept(function, {})


def borrowing_loop(function: Any) -> Any:
    """Compile a loop that allocates nothing, and calls only its like.

    Its arrays are the caller's, so that nobody need count references to them: counting, which is atomic, takes twice
    as long as all the rest where tables are handed on for each packet.
    """
    return _kept(function, {"_nrt": False})


def _kept(function: Any, options: dict[str, Any]) -> Any:
    compiled = njit(nogil=True, **options)(function)
    with suppress(RuntimeError):  # no place that we may write to: compiled at each start, which takes seconds
        compiled._cache = KeptCode(function)
    return compiled
