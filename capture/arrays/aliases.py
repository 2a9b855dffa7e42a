"""Names for the arrays that functions take and give."""

from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]
Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[Any]
"""Of any type of number."""
Table = npt.NDArray[np.void]
"""Rows with named fields, one dtype."""
