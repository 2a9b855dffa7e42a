"""Tables that grow while a file is read, in an unnamed temporary file: memory that the kernel can take back.

One thread appends, others read: a reader gets a view of the rows that are complete.
"""

import tempfile
from typing import Any

import numpy as np

from capture.arrays.aliases import Table
from capture.errors import SinkError

_FIRST = 1 << 12


class GrowingTable:
    """Rows of one dtype, by index."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype, self._count = dtype, 0
        self._file: Any = tempfile.TemporaryFile(prefix="bicap-web-")  # noqa: SIM115 - lives as long as the table
        self._rows = self._mapped(_FIRST)

    @classmethod
    def of(cls, rows: Table) -> "GrowingTable":
        """Return a table of rows that are complete already."""
        table = cls.__new__(cls)
        table._dtype, table._count, table._rows, table._file = rows.dtype, len(rows), rows, None
        return table

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Table:
        """All rows so far; they may still be written."""
        return self._rows[: self._count]

    def append(self, rows: Table) -> None:
        """Add rows behind the last one."""
        self.reserve(self._count + len(rows))
        self._rows[self._count : self._count + len(rows)] = rows
        self._count += len(rows)

    def put(self, at: Any, rows: Table) -> None:
        """Write rows at these indices; the table grows up to the highest."""
        if len(rows):
            highest = int(np.max(at)) + 1
            self.reserve(highest)
            self._rows[at] = rows
            self._count = max(self._count, highest)

    def close(self) -> None:
        """Give the file back; views of the rows stay valid."""
        if self._file is not None:
            self._file.close()

    def reserve(self, count: int) -> None:
        """Make room for so many rows."""
        if count > len(self._rows):
            self._rows = self._mapped(max(count, 2 * len(self._rows)))

    def _mapped(self, count: int) -> Table:
        try:
            self._file.truncate(count * self._dtype.itemsize)
            return np.memmap(self._file, self._dtype, "r+", shape=(count,))
        except OSError as error:
            raise SinkError(
                f"cannot write temporary files to {tempfile.gettempdir()}: {error.strerror}; make room there, or set "
                "TMPDIR to a directory that has room"
            ) from None
