"""Sequence numbers of TCP: how far one is from another on their circle."""

import numpy as np

from capture.arrays.jit import borrowing_loop as loop


@loop
def distance(a: int, b: int) -> int:
    """a - b on the circle of sequence numbers."""
    return ((np.int64(a) - np.int64(b) + 0x80000000) & 0xFFFFFFFF) - 0x80000000
