"""TCP sequence numbers -> their distance on a circle of 2**32."""

import numpy as np

from capture.arrays.jit import borrowing_loop as loop


@loop
def distance(a: int, b: int) -> int:
    """Return a - b on the circle, from -2**31 to 2**31 - 1."""
    return ((np.int64(a) - np.int64(b) + 0x80000000) & 0xFFFFFFFF) - 0x80000000
