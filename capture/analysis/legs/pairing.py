"""Observations -> passages: one row for each packet, with its observation at each point.

The problem. The same packet was captured at several points, and has no number of its own. Two fingerprints identify
it (`fingerprint`): `strict` covers all fields that routers do not change, `loose` leaves out addresses, ports and
the fields that a translator changes with them. Observations with equal `strict` are paired first, then the rest by
`loose`: so only translated packets are paired by the weaker fingerprint.

Several packets may have the same fingerprint: a repeated DNS query, a repeated empty acknowledgment. The k-th of them
at one point is paired with the k-th at another. That is right if every point saw all of them in the same order. If
one point has more of them than another, the pairs are uncertain, and all of them are `doubtful`: counted, not
measured.

The cost is sorting: two sorts for each of both steps and each part of the observations, in numpy. All observations
of one packet are in the same part (`observe`), and a part fits into memory.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from capture.arrays.aliases import Table

NEVER = np.iinfo(np.int64).min
"""Time of a packet at a point that did not see it."""


def passage(points: int) -> np.dtype[Any]:
    """Return the dtype of a passage, the row of a packet; its first five fields have one value per point."""
    return np.dtype(
        [
            ("times_ns", "i8", (points,)),  # NEVER: not seen there
            ("numbers", "i8", (points,)),
            ("sessions", "i8", (points,)),  # 0: not seen there
            ("hosts", "i8", (points,)),
            ("sides", "i1", (points,)),
            ("sequence", "u4"),
            ("payload", "u4"),
            ("protocol", "u1"),
            ("doubtful", "u1"),
        ],
        align=True,
    )


def pair(observations: Table, points: int) -> Table:
    """Return the passages of a part of the observations, a table of passage(points)."""
    rows = np.zeros(len(observations), passage(points))
    every, at = np.arange(len(rows)), observations["point"]
    rows["times_ns"] = NEVER
    rows["times_ns"][every, at] = observations["time_ns"]
    rows["numbers"][every, at] = observations["number"]
    rows["sessions"][every, at] = observations["session"]
    rows["hosts"][every, at] = observations["hosts"]
    rows["sides"][every, at] = observations["side"]
    for name in ("sequence", "payload", "protocol"):
        rows[name] = observations[name]
    rows, loose = _together(rows, observations["strict"], observations["loose"])
    return _together(rows, loose, loose)[0]


def _together(rows: Table, keys: npt.NDArray[Any], kept: npt.NDArray[Any]) -> tuple[Table, npt.NDArray[Any]]:
    """Merge rows with equal keys if no point is in two of them; return them with the `kept` value of each."""
    if not len(rows):
        return rows, kept
    seen = rows["times_ns"] != NEVER
    mask = seen @ (1 << np.arange(seen.shape[1]))
    first = np.where(seen, rows["times_ns"], np.iinfo(np.int64).max)[np.arange(len(rows)), seen.argmax(axis=1)]
    order = np.lexsort((first, mask, keys))
    begins = np.flatnonzero(_changes(keys[order], mask[order]))
    lengths = np.diff(np.append(begins, len(order)))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(begins, lengths)
    of_key = np.flatnonzero(_changes(keys[order][begins]))
    unequal = np.minimum.reduceat(lengths, of_key) != np.maximum.reduceat(lengths, of_key)
    odd = np.empty(len(order), bool)
    odd[order] = np.repeat(np.repeat(unequal, np.diff(np.append(of_key, len(begins)))), lengths)
    order = np.lexsort((mask, rank, keys))
    begins = np.flatnonzero(_changes(keys[order], rank[order]))
    lengths = np.diff(np.append(begins, len(order)))
    fits = np.add.reduceat(seen[order].astype(np.int64), begins, axis=0).max(axis=1) == 1
    # Rows that do not fit are not merged: each begins a row of its own.
    single = np.repeat(~fits, lengths)
    single[begins] = True
    begins = np.flatnonzero(single)
    sorted_rows = rows[order]
    merged = sorted_rows[begins].copy()
    for name in ("times_ns", "numbers", "sessions", "hosts", "sides"):
        merged[name] = np.maximum.reduceat(sorted_rows[name], begins, axis=0)
    doubts = np.maximum(odd[order], sorted_rows["doubtful"] == 1)
    merged["doubtful"] = np.maximum.reduceat(doubts, begins)
    return merged, kept[order][begins]


def _changes(*columns: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return a mask of rows that differ from the row before; true for the first."""
    changed = np.ones(len(columns[0]), bool)
    changed[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return changed
