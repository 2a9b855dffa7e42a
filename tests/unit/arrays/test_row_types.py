"""A class with fields -> a dtype: bases first, padded as C pads, records in records."""

import numpy as np

from capture.arrays.row_types import I64, U8, U16, U32, Record, dtype_of, names_of


class Ends(Record):
    low: U16
    high: U16


class Counts(Record):
    packets: U32
    bytes: I64


class Row(Counts, Ends):
    kind: U8
    client: Counts


def test_fields_of_bases_stand_first_in_the_order_of_the_bases() -> None:
    assert names_of(Row) == dtype_of(Row).names == ("packets", "bytes", "low", "high", "kind", "client")


def test_fields_lie_as_in_a_struct_of_c() -> None:
    dtype = dtype_of(Row)
    assert dtype.fields is not None
    assert [dtype.fields[name][1] for name in dtype.names or ()] == [0, 8, 16, 18, 20, 24]
    assert dtype.itemsize == 40


def test_a_record_in_a_record_has_fields_of_its_own() -> None:
    rows = np.zeros(2, dtype_of(Row))
    rows["client"]["bytes"][1] = 7
    assert (int(rows[1]["client"]["bytes"]), int(rows[1]["bytes"])) == (7, 0)
