"""Rows in an unnamed temporary file, for tables that do not fit into memory. Closing the object removes the file."""

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
    """Rows of one dtype. Methods raise SinkError if the disk has no room for them."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        with _no_room_as_sink_error():
            self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115 - see close

    def add(self, rows: Table) -> None:
        """Append rows."""
        with _no_room_as_sink_error():
            self._file.write(rows.tobytes())

    def chunks(self, count: int) -> Iterator[Table]:
        """Return all rows in order, `count` at a time; -1 is all at once."""
        with _no_room_as_sink_error():
            self._file.flush()
        self._file.seek(0)
        while len(rows := np.fromfile(self._file, self._dtype, count)):
            yield rows

    def picked(self, places: npt.NDArray[np.int64]) -> Table:
        """Return the rows at these indices, in this order; no other part of the file stays in memory."""
        with _no_room_as_sink_error():
            self._file.flush()
        return picked(np.memmap(self._file, self._dtype, "r"), places)

    def close(self) -> None:
        """Remove the file."""
        with _no_room_as_sink_error():
            self._file.close()


@contextmanager
def _no_room_as_sink_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"cannot write temporary files to {tempfile.gettempdir()}: {error.strerror}; make room there, or set "
            "TMPDIR to a directory that has room"
        ) from None
