"""Findings of a diagnosis, worst first -> the columns of the lake's table `findings`."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from capture.analysis.diagnose.trouble import Finding
from capture.lake.arrow_arrays import dates, repeated
from capture.lake.common import TableRows, capture_columns
from capture.lake.schema import DATE, INT64, TEXT, TIME, WORD, LakeColumn, TableSchema

_EVIDENCE = pa.list_(pa.struct([("capture", TEXT), ("session", INT64), ("packet", INT64)]))


def _each(value: Callable[[int, Finding], Any], kind: Any) -> Callable[[TableRows], Any]:
    return lambda rows: pa.array([value(number, one) for number, one in enumerate(rows.table, 1)], kind)


def _first(rows: TableRows) -> Any:
    return np.full(len(rows.table), rows.origin.first_ns or 0, np.int64)


def _columns() -> Iterator[LakeColumn]:
    yield LakeColumn("date", DATE, "", "Day of the captures' first packet, UTC.", "", lambda r: dates(_first(r)))
    yield LakeColumn(
        "node", TEXT, "", "Node of the captures.", "there are several, or none is known",
        lambda r: repeated(r.origin.points.only_node, TEXT, len(r.table)),
    )  # fmt: skip
    yield from capture_columns()
    yield LakeColumn(
        "start", TIME, "µs", "Time of the captures' first packet.", "",
        lambda r: pa.array(_first(r) // 1000, INT64).cast(TIME),
    )  # fmt: skip
    yield LakeColumn(
        "finding", INT64, "", "Number of the finding, from 1; the worst first.", "", _each(lambda n, _: n, INT64)
    )
    yield LakeColumn("kind", WORD, "", "Kind of trouble, as docs/analysis.md lists it.", "", _kinds)
    yield LakeColumn("what", TEXT, "", "The problem, in words.", "", _each(lambda _, one: one.what, TEXT))
    yield LakeColumn("next", TEXT, "", "What to look at next.", "", _each(lambda _, one: one.next, TEXT))
    yield LakeColumn(
        "sessions", INT64, "sessions", "Sessions that it affects.", "", _each(lambda _, one: one.sessions, INT64)
    )
    yield LakeColumn(
        "score", pa.float64(), "", "Weight of the kind, times the share of sessions that show it.", "",
        _each(lambda _, one: one.score, pa.float64()),
    )  # fmt: skip
    yield LakeColumn(
        "evidence", _EVIDENCE, "", "Sessions that show it, worst first, each with a packet to look at, or NULL.", "",
        _each(lambda _, one: [_evidence(e) for e in one.evidence], _EVIDENCE),
    )  # fmt: skip


def _kinds(rows: TableRows) -> Any:
    return pa.array([one.kind for one in rows.table], TEXT).dictionary_encode().cast(WORD)


def _evidence(evidence: Any) -> dict[str, Any]:
    return {"capture": evidence.file, "session": evidence.session, "packet": evidence.packet or None}


FINDINGS = TableSchema(
    name="findings",
    version=1,
    help="One row per finding: what `bicap diagnose` shows.",
    sorted_by="finding",
    columns=tuple(_columns()),
)
