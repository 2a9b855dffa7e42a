"""Columns of numpy -> Arrow arrays. A number is copied once, from its row into its column; it is never an object.

A row of a table lies in one piece, and an Arrow column too, so a field cannot be shared between both.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from capture.arrays.aliases import Mask, Numbers, Table
from capture.arrays.rows import alike
from capture.lake.schema import BOOLEAN, DATE, INT32, INT64, TEXT, TIME, WORD
from capture.wire.addresses import address_text

_US, _DAY_NS = 1000, 86400 * 10**9
_NUMPY = {INT64: np.int64, INT32: np.int32}


def integers(values: Numbers, kind: Any = INT64, none: Mask | None = None) -> Any:
    """Return whole numbers, NULL where `none` is true."""
    return pa.array(np.ascontiguousarray(values, _NUMPY[kind]), kind, mask=none)


def times(values_ns: Numbers, none: Mask | None = None) -> Any:
    """Return nanoseconds since 1970 as timestamps of whole microseconds."""
    return pa.array(np.floor_divide(values_ns, _US), pa.int64(), mask=none).view(TIME)


def dates(values_ns: Numbers) -> Any:
    """Return nanoseconds since 1970 as dates in UTC."""
    return pa.array(np.floor_divide(values_ns, _DAY_NS).astype(np.int32), pa.int32()).view(DATE)


def flags(values: Mask, none: Mask | None = None) -> Any:
    """Return truth values."""
    return pa.array(values, BOOLEAN, mask=none)


def words(numbers: Numbers, texts: Sequence[str]) -> Any:
    """Return one of these texts for each number, NULL where the text is empty."""
    known = [text for text in texts if text]
    codes = np.array([known.index(text) if text else -1 for text in texts], np.int32)[numbers]
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32(), mask=codes < 0), pa.array(known, TEXT)).cast(
        WORD
    )


def texts(values: Sequence[str | None]) -> Any:
    """Return texts, NULL where they are empty."""
    return pa.array([value or None for value in values], TEXT)


def repeated(value: Any, kind: Any, count: int) -> Any:
    """Return the same value `count` times; NULL for None and for an empty text."""
    return pa.repeat(pa.scalar(None if value == "" else value, kind), count)


def each(value: Callable[..., Any], kind: Any, *columns: Numbers) -> Any:
    """Return `value` of the numbers in each row, which is called once for equal rows; NULL for None and ""."""
    distinct, which = alike(*columns)
    made = (value(*row) for row in distinct)
    return pa.array([None if one == "" else one for one in made], kind).take(pa.array(which, pa.int64()))


def addresses(rows: Table, side: str) -> Any:
    """Return the addresses of a side as text, NULL for packets that are not IP."""

    def text(family: int, high: int, low: int) -> str | None:
        return address_text(family, high, low) if family else None

    return each(text, TEXT, rows["family"], rows[f"{side}_high"], rows[f"{side}_low"])
