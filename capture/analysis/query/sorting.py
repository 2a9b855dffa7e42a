"""Tables of sessions -> the same rows sorted by a column: rows are in a temporary file, only keys in memory."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np

from capture.analysis.query.columns import COLUMNS, WORDS
from capture.analysis.sessions.session_table import SESSION
from capture.arrays.aliases import Table
from capture.arrays.scratch import Scratch
from capture.errors import SpecError

_CHUNK = 1 << 12


class Spool:
    """Rows to be sorted. Methods raise SinkError if the disk has no room for them."""

    def __init__(self, column: str, largest_first: bool) -> None:
        self._column, self._largest_first = column, largest_first
        self._rows = Scratch(SESSION)
        self._keys: list[Any] = []
        self._numbers: list[Any] = []

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def add(self, sessions: Table) -> None:
        """Add rows."""
        self._keys.append(np.array(COLUMNS[self._column](sessions)))
        self._numbers.append(np.array(sessions["session"]))
        self._rows.add(sessions)

    def in_order(self) -> Iterator[Table]:
        """Return all rows in order of the column, equal ones in order of session numbers."""
        if not self._keys:
            return
        keys = np.concatenate(self._keys).astype(np.int64)
        order = np.lexsort((np.concatenate(self._numbers), -keys if self._largest_first else keys))
        for start in range(0, len(order), _CHUNK):
            yield self._rows.picked(order[start : start + _CHUNK])


def sort_key(name: str) -> tuple[str, bool]:
    """Return (column, True if the largest comes first) for "bytes", or "-bytes". Raises SpecError."""
    column = name.removeprefix("-")
    column = {"start": "start_ns", "duration": "duration_ns"}.get(column, column)
    if column not in COLUMNS or column in WORDS:
        numbers = ", ".join(known for known in COLUMNS if known not in WORDS)
        raise SpecError(f"--sort {name!r} is not a column of numbers; columns of numbers are {numbers}")
    return column, name.startswith("-")
