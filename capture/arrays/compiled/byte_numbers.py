"""Bytes at a place -> the number that they are, in network order or the other one.

Indices have no sign here. With one, numba makes each index that may be negative count from the end, and four bytes
take thirty instructions; without, they are one load.
"""

import numpy as np

from capture.arrays.aliases import Bytes
from capture.arrays.jit import borrowing_loop as loop


@loop
def net16(data: Bytes, at: int) -> int:
    """Return the number in two bytes in network order."""
    first = np.uintp(at)
    return np.int64(data[first]) << 8 | np.int64(data[first + np.uintp(1)])


@loop
def net32(data: Bytes, at: int) -> int:
    """Return the number in four bytes in network order."""
    first = np.uintp(at)
    return (
        np.int64(data[first]) << 24
        | np.int64(data[first + np.uintp(1)]) << 16
        | np.int64(data[first + np.uintp(2)]) << 8
        | np.int64(data[first + np.uintp(3)])
    )


@loop
def net64(data: Bytes, at: int) -> int:
    """Return the number in eight bytes in network order."""
    return net32(data, at) << 32 | net32(data, at + 4)


@loop
def little16(data: Bytes, at: int) -> int:
    """Return the number in two bytes, the lowest first."""
    first = np.uintp(at)
    return np.int64(data[first + np.uintp(1)]) << 8 | np.int64(data[first])


@loop
def little32(data: Bytes, at: int) -> int:
    """Return the number in four bytes, the lowest first."""
    first = np.uintp(at)
    return (
        np.int64(data[first + np.uintp(3)]) << 24
        | np.int64(data[first + np.uintp(2)]) << 16
        | np.int64(data[first + np.uintp(1)]) << 8
        | np.int64(data[first])
    )
