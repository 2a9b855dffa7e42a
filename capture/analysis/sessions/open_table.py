"""The tables of open sessions: dtypes of their rows, sides and followed segments, which compiled loops share."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from capture.analysis.sessions.session_table import EVIDENCE_FIELDS, KEY_FIELDS, SIDE_FIELDS
from capture.arrays.aliases import Longs

ROW = np.dtype(
    [
        *(("low_high", "i8"), ("low_low", "i8"), ("high_high", "i8"), ("high_low", "i8")),
        *(("low_port", "u2"), ("high_port", "u2")),
        *KEY_FIELDS,
        *EVIDENCE_FIELDS,
        ("hash", "i8"),
        ("block", "i8"),  # of the followed segments and holes; -1: none yet
        ("request_ns", "i8"),  # the turn that goes on: last byte of the request, last byte of the answer
        ("answer_ns", "i8"),
        ("live", "u1"),
        ("client_side", "u1"),  # 0: the lower of the two endpoints
        ("syn_sequence", "u4"),
        ("syn_tsval", "u4"),  # of the last SYN, and of the first
        ("syn_first_tsval", "u4"),
        ("rst_side", "u1"),
    ],
    align=True,
)
"""An open session. Endpoints are in order, so that both directions find it."""


ROW_SIDE = np.dtype(
    [
        *SIDE_FIELDS,
        ("rtt_least_ns", "i8"),  # over all kinds of samples; 0: none
        ("echo_wait_ns", "i8"),  # when tsval_followed was first seen; 0: none is followed
        ("advances", "u4"),  # how often its acknowledgment has grown
        ("next", "u4"),  # the sequence number after the highest sent
        ("acked", "u4"),  # the highest acknowledgment sent
        ("recover", "u4"),  # acknowledgments up to here are ambiguous
        ("tsval_newest", "u4"),
        ("tsval_followed", "u4"),
        ("has_next", "u1"),
        ("has_acked", "u1"),
        ("recovering", "u1"),
        ("has_tsval", "u1"),
        ("flight", "u1"),  # segments followed, and holes known
        ("holes", "u1"),
    ],
    align=True,
)


FLIGHT, HOLES, RECENT = 16, 16, 8
"""Followed segments, known holes and remembered packets of a side, at most: the parts of its block, in this order."""
SEGMENT = np.dtype(
    [("time_ns", "i8"), ("start", "u4"), ("end", "u4"), ("identification", "u4"), ("sampled", "u4")], align=True
)
"""A segment on its way, a hole in what was seen, one of the last packets, or a question that waits for its answer."""


KEY, EVIDENCE, SIDE = (tuple(name for name, _ in fields) for fields in (KEY_FIELDS, EVIDENCE_FIELDS, SIDE_FIELDS))
"""Fields that ROW and ROW_SIDE have as SESSION has them, in the same order."""


# Slots of `state`: the seed, whether interfaces are told apart, how much of each stack and list is used,
# and counts; no row from USED on was ever used.
SEED, BY_INTERFACE, FREE_ROWS, FREE_BLOCKS, DONE, SAMPLES, SESSIONS, OPEN = range(8)
NO_IP, LOST_FRAGMENTS, USED, STATE_SLOTS = 8, 9, 10, 11


class Tables(NamedTuple):
    """`rows` and `sides` are parallel; `sides` is [row, endpoint], the lower endpoint first."""

    slots: Longs
    rows: npt.NDArray[Any]
    sides: npt.NDArray[Any]
    blocks: npt.NDArray[Any]
    free_rows: Longs
    free_blocks: Longs
    done: Longs
    samples: npt.NDArray[Any]
    fragments: Longs
    state: Longs
