"""A class that names the fields of a row -> its numpy dtype, and the types by which loops are checked.

    class Sample(Record):
        time_ns: I64  # when it ended
        side: U8

    SAMPLE = dtype_of(Sample)        # what arrays are made of
    samples: Rows[Sample]         # what a compiled loop takes: samples[at].time_ns

A field is declared once, so a type checker finds a loop that uses a field which the array does not have. numba sees
only the array: the classes cost nothing at run time.
"""

import inspect
from typing import Annotated, Any, Protocol, TypeVar, overload

import numpy as np

I64 = Annotated[int, "i8"]
U32 = Annotated[int, "u4"]
U16 = Annotated[int, "u2"]
U8 = Annotated[int, "u1"]


class Record:
    """A row of an array. It is never instantiated: only its annotations are used."""


Row_co = TypeVar("Row_co", covariant=True)


class Rows(Protocol[Row_co]):
    """An array [row] of records."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, at: int, /) -> Row_co: ...

    @overload
    def __getitem__(self, at: slice, /) -> "Rows[Row_co]": ...


class RowPairs(Protocol[Row_co]):
    """An array [row, 0 or 1] of records."""

    def __getitem__(self, at: tuple[int, int], /) -> Row_co: ...


def dtype_of(record: type[Record]) -> np.dtype[Any]:
    """Return the dtype with the fields of the bases, one after the other, then its own; as C would lay it out."""
    return np.dtype(_fields(record), align=True)


def names_of(record: type[Record]) -> tuple[str, ...]:
    """Return the names of the fields, in the dtype's order."""
    return tuple(name for name, _ in _fields(record))


def _fields(record: type[Record]) -> list[tuple[str, Any]]:
    found = [field for base in record.__bases__ if issubclass(base, Record) for field in _fields(base)]
    for name, kind in inspect.get_annotations(record).items():
        nested = isinstance(kind, type) and issubclass(kind, Record)
        found.append((name, dtype_of(kind) if nested else kind.__metadata__[0]))
    return found
