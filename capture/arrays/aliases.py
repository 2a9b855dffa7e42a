"""Names for the types of arrays that functions take and return."""

from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]
Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[Any]
"""Array of any numeric dtype."""
Table = npt.NDArray[np.void]
"""Array [row] of a structured dtype."""
