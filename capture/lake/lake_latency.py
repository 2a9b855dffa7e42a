"""Samples of latency, and the sessions that they are of -> the columns of the lake's table `latency`.

A sample comes before its session has ended, so samples wait in a temporary file until all sessions are known; they
are then joined and written in order of time. Memory has the ends of all sessions, about 70 bytes each, and the times
of the samples.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from capture.analysis.sessions.session_table import SAMPLE, SIDES, Measure, SessionEnds
from capture.arrays.aliases import Table
from capture.arrays.row_types import I64, U8, U32, dtype_of
from capture.arrays.scratch import Scratch
from capture.lake.arrow_arrays import words
from capture.lake.common import (
    TableRows,
    capture_columns,
    end_columns,
    number_column,
    partition_columns,
    protocol_columns,
    time_columns,
)
from capture.lake.identity import Origin
from capture.lake.schema import WORD, LakeColumn, TableSchema

_CHUNK = 1 << 14
"""Samples that are joined at a time."""


class _Ends(SessionEnds):
    """What samples need of their session."""

    session: I64
    interface: U32
    family: U8
    protocol: U8


class _JoinedSample(SessionEnds):
    time_ns: I64
    session: I64
    duration_ns: I64
    interface: U32
    family: U8
    protocol: U8
    measure: U8
    side: U8


_ENDS, _JOINED = dtype_of(_Ends), dtype_of(_JoinedSample)


def joined(ended: Iterable[tuple[Table, Table]], origin: Origin) -> Iterator[TableRows]:
    """Return the samples of all sessions that end, in order of time, with their sessions. Raises SinkError."""
    waiting, ends, times = Scratch(SAMPLE), [np.zeros(0, _ENDS)], [np.zeros(0, np.int64)]
    try:
        for sessions, samples in ended:
            waiting.add(samples)
            times.append(samples["time_ns"].copy())
            kept = np.zeros(len(sessions), _ENDS)
            for name in _ENDS.names or ():
                kept[name] = sessions[name]
            ends.append(kept)
        known = np.concatenate(ends)
        known = known[np.argsort(known["session"], kind="stable")]
        order = np.argsort(np.concatenate(times), kind="stable")
        for at in range(0, len(order), _CHUNK):
            samples = waiting.picked(order[at : at + _CHUNK])
            table = np.zeros(len(samples), _JOINED)
            mine = known[np.searchsorted(known["session"], samples["session"])]
            for source in (mine, samples):
                for name in source.dtype.names or ():
                    table[name] = source[name]
            yield TableRows(table, origin)
    finally:
        waiting.close()


def _columns() -> Iterator[LakeColumn]:
    yield from partition_columns("time_ns", "the end of the duration")
    yield from capture_columns()
    yield number_column("session", "", "Number of the session that it was measured in.")
    yield from time_columns("time", "time_ns", "the end of the duration")
    yield number_column("duration_ns", "ns", "The measured duration.")
    measures = [measure.name.lower() if measure else "" for measure in map(_measure, range(max(Measure) + 1))]
    yield LakeColumn(
        "measure", WORD, "", "What was measured, as docs/analysis.md lists it, like `handshake` or `first_byte`.", "",
        lambda r: words(r.table["measure"], measures),
    )  # fmt: skip
    yield LakeColumn(
        "side", WORD, "", "Side that the duration is of: from the capture point to it and back.", "",
        lambda r: words(r.table["side"], SIDES),
    )  # fmt: skip
    yield from protocol_columns()
    for side in SIDES:
        yield from end_columns(side, side)


def _measure(number: int) -> Measure | None:
    return Measure(number) if number in set(Measure) else None


LATENCY = TableSchema(
    name="latency",
    version=1,
    help="One row per measured duration: what `bicap latency` sums up.",
    sorted_by="time_ns",
    columns=tuple(_columns()),
)
