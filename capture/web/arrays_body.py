"""Named arrays -> the body of an answer: a JSON head with names, types and places, then the arrays as in memory.

bytes 0 to 3    length of the head, little-endian, a multiple of 8 less 4
head            JSON, padded with spaces: {..., "arrays": [[name, "f8" or "u1", first byte, length], ...]}
arrays          little-endian, each at a multiple of 8, so that a browser can view them without a copy
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt


def body(arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> bytes:
    """Return the body. Whole numbers become float64, which are exact up to 2^53; flags stay bytes."""
    plain = {
        name: np.ascontiguousarray(array, "u1" if array.dtype in (np.uint8, np.bool_) else "<f8")
        for name, array in arrays.items()
    }
    places, at = [], 0
    for name, array in plain.items():
        places.append([name, "u1" if array.itemsize == 1 else "f8", at, len(array)])
        at += array.nbytes + -array.nbytes % 8
    head = msgspec.json.encode({**meta, "arrays": places})
    head += b" " * (-(len(head) + 4) % 8)
    parts = [len(head).to_bytes(4, "little"), head]
    for array in plain.values():
        parts += [array.tobytes(), bytes(-array.nbytes % 8)]
    return b"".join(parts)
