"""The tables of open sessions: their rows, sides and followed segments, which compiled loops share.

Arrays are made once and used again: a row that no session has is all zero.
"""

from typing import NamedTuple

from capture.analysis.sessions.session_table import Sample, SessionEvidence, SessionSpan, SideCounts
from capture.arrays.aliases import Longs
from capture.arrays.row_types import I64, U8, U16, U32, Record, RowBlocks, RowPairs, Rows, dtype_of, names_of


class OrderedEnds(Record):
    """Both endpoints, the lower one first: so both directions find the session."""

    low_high: I64
    low_low: I64
    high_high: I64
    high_low: I64
    low_port: U16
    high_port: U16


class OpenSession(OrderedEnds, SessionSpan, SessionEvidence):
    """A session that has not ended."""

    hash: I64
    block: I64  # of the followed segments and holes; -1: none yet
    request_ns: I64  # the turn that goes on: last byte of the request, last byte of the answer
    answer_ns: I64
    live: U8
    client_side: U8  # 0: the lower of the two endpoints
    syn_sequence: U32
    syn_tsval: U32  # of the last SYN, and of the first
    syn_first_tsval: U32
    rst_side: U8


class OpenSide(SideCounts):
    """One side of it."""

    rtt_least_ns: I64  # over all kinds of samples; 0: none
    echo_wait_ns: I64  # when tsval_followed was first seen; 0: none is followed
    advances: U32  # how often its acknowledgment has grown
    next: U32  # the sequence number after the highest sent
    acked: U32  # the highest acknowledgment sent
    recover: U32  # acknowledgments up to here are ambiguous
    tsval_newest: U32
    tsval_followed: U32
    has_next: U8
    has_acked: U8
    recovering: U8
    has_tsval: U8
    flight: U8  # segments followed, and holes known
    holes: U8


class Segment(Record):
    """A segment on its way, a hole in what was seen, one of the last packets, or a question that waits."""

    time_ns: I64
    start: U32
    end: U32
    identification: U32
    sampled: U32


class Fragment(Record):
    """A first fragment: what tells its packet from another, and the ports that later fragments lack."""

    key: I64
    ports: I64


class State(Record):
    """What of the tables is in use, and counts."""

    seed: I64  # of the hash
    by_interface: I64  # whether interfaces are told apart
    free_rows: I64  # how much of each stack and list is used
    free_blocks: I64
    done: I64
    samples: I64
    sessions: I64  # how many there were
    open: I64
    no_ip: I64  # packets
    lost_fragments: I64  # later ones without their first
    used: I64  # no row from here on was ever used


OPEN_SESSION, OPEN_SIDE, SEGMENT, FRAGMENT, STATE = map(dtype_of, (OpenSession, OpenSide, Segment, Fragment, State))
FLIGHT, HOLES, RECENT = 16, 16, 8
"""Followed segments, known holes and remembered packets of a side, at most: the parts of its block, in this order."""
SPAN_FIELDS, EVIDENCE_FIELDS, SIDE_FIELDS = map(names_of, (SessionSpan, SessionEvidence, SideCounts))
"""Fields that open sessions have as ended ones have them, in the same order."""


class Tables(NamedTuple):
    """Arrays that loops share. `rows` and `sides` are parallel, and the lower endpoint's side is the first."""

    slots: Longs
    """The hash: the upper half of a row's hash, and its number + 1; 0 is empty."""
    rows: Rows[OpenSession]
    sides: RowPairs[OpenSide]
    blocks: RowBlocks[Segment]
    """[block, endpoint, FLIGHT + HOLES + RECENT]"""
    free_rows: Longs
    """A stack of numbers, of which the first `state.free_rows` are free; so `free_blocks`."""
    free_blocks: Longs
    done: Longs
    """Rows of sessions that ended, and were not taken yet."""
    samples: Rows[Sample]
    fragments: Rows[Fragment]
    """The latest first fragments, by hash."""
    state: Rows[State]
    """One row."""
