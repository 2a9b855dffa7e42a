"""Rows that wait in a file without a name, for what does not fit into memory. The file goes with the object."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.arrays.aliases import Table
from capture.arrays.rows import picked
from capture.errors import SinkError


class Scratch:
    """Rows of one dtype. Raises SinkError where there is no room for them."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        with _told():
            self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115 - see close

    def add(self, rows: Table) -> None:
        """Put rows behind those that are there."""
        with _told():
            self._file.write(rows.tobytes())

    def chunks(self, count: int) -> Iterator[Table]:
        """All rows from the first on, so many at a time; -1 for all at once."""
        with _told():
            self._file.flush()
        self._file.seek(0)
        while len(rows := np.fromfile(self._file, self._dtype, count)):
            yield rows

    def picked(self, places: npt.NDArray[np.int64]) -> Table:
        """The rows at these places, in this order; nothing else of the file stays in memory."""
        with _told():
            self._file.flush()
        return picked(np.memmap(self._file, self._dtype, "r"), places)

    def close(self) -> None:
        """Give the room back."""
        with _told():
            self._file.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"temporary files cannot be written to {tempfile.gettempdir()}: {error.strerror}; make room there, or "
            "set TMPDIR to a place that has some"
        ) from None
