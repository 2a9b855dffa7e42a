"""A Python function over arrays -> machine code, by numba, kept on disk for the next start."""

from typing import Any

from numba import njit


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
    try:
        return njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # no place that we may write to: compiled at each start, which takes seconds
        return njit(nogil=True, **options)(function)
